#include "experiments/config/suggest.h"

#include "kernels/core/names.h"

namespace attnlab::config {
namespace {

void collect(const Tree& tree, const std::string& path, std::size_t limit,
             std::vector<std::string>& out) {
  if (!tree.is_map()) return;
  for (const auto& [key, value] : tree.entries()) {
    if (out.size() >= limit) return;
    const std::string inner = join_path(path, key);
    out.push_back(inner);
    collect(value, inner, limit, out);
  }
}

std::string parent_of(const std::string& path) {
  const std::size_t dot = path.rfind('.');
  return dot == std::string::npos ? "" : path.substr(0, dot);
}

std::string leaf_of(const std::string& path) { return path.substr(path.rfind('.') + 1); }

}  // namespace

std::vector<std::string> all_paths(const Tree& root, std::size_t limit) {
  std::vector<std::string> paths;
  collect(root, "", limit, paths);
  return paths;
}

std::string suggest_path(const std::string& path, const std::vector<std::string>& known) {
  const std::string parent = parent_of(path), leaf = leaf_of(path);
  std::vector<std::string> siblings, same_leaf, leaves;
  for (const std::string& each : known) {
    if (parent_of(each) == parent) siblings.push_back(leaf_of(each));
    if (leaf_of(each) == leaf) same_leaf.push_back(each);
    leaves.push_back(leaf_of(each));
  }
  const std::string sibling = nearest_name(leaf, siblings);
  std::string meant;
  if (!sibling.empty()) {
    meant = join_path(parent, sibling);
  } else if (same_leaf.size() == 1) {
    meant = same_leaf.front();
  } else if (parent.empty()) {
    const std::string elsewhere = nearest_name(leaf, leaves);
    for (const std::string& each : known) {
      if (meant.empty() && !elsewhere.empty() && leaf_of(each) == elsewhere) meant = each;
    }
  } else if (siblings.empty()) {
    meant = nearest_name(path, known);
  }
  return meant.empty() ? "" : " Did you mean '" + meant + "'?";
}

}  // namespace attnlab::config
