#include "experiments/config/suggest.h"

#include <algorithm>
#include <map>

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

/// The only one of `names` that begins with `name`, or that `name` begins with: "mem", "memory".
std::string only_longer(const std::string& name, const std::vector<std::string>& names) {
  constexpr std::size_t kShortest = 3;
  std::string found;
  for (const std::string& each : names) {
    if (std::min(name.size(), each.size()) < kShortest) continue;
    if (!each.starts_with(name) && !name.starts_with(each)) continue;
    if (!found.empty()) return {};
    found = each;
  }
  return found;
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
  std::string sibling = nearest_name(leaf, siblings);
  if (sibling.empty()) sibling = only_longer(leaf, siblings);
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

std::string suggest_or_list(const std::string& path, const std::vector<std::string>& known) {
  constexpr std::size_t kMost = 20;
  const std::string meant = suggest_path(path, known);
  if (!meant.empty()) return meant;
  const auto is_inside = [&](const std::string& each, const std::string& parent) {
    return parent.empty() || each.starts_with(parent + ".");
  };
  std::string parent = parent_of(path);
  while (!parent.empty() && std::none_of(known.begin(), known.end(), [&](const auto& each) {
    return is_inside(each, parent);
  })) {
    parent = parent_of(parent);
  }
  std::vector<std::string> there;
  for (const std::string& each : known) {
    if (!is_inside(each, parent)) continue;
    const std::string rest = each.substr(parent.empty() ? 0 : parent.size() + 1);
    const std::string name = rest.substr(0, rest.find('.'));
    if (std::find(there.begin(), there.end(), name) == there.end()) there.push_back(name);
  }
  if (there.empty()) return {};
  const bool cut = there.size() > kMost;
  if (cut) there.resize(kMost);
  const std::string of = parent.empty() ? "" : " of '" + parent + "'";
  return " Keys" + of + ": " + join_names(there) + (cut ? ", ..." : "") + ".";
}

std::string suggest_value(const std::string& value, const std::vector<std::string>& known) {
  static const std::map<std::string, std::string> kSynonyms = {
      {"fp16", "float16"},    {"half", "float16"},    {"bf16", "bfloat16"}, {"fp32", "float32"},
      {"float", "float32"},   {"single", "float32"},  {"fp64", "float64"},  {"double", "float64"},
      {"gpu", "cuda"},        {"random", "shuffled"}, {"fwd", "forward"},   {"bwd", "backward"},
      {"normal", "gaussian"}, {"randn", "gaussian"}};
  const auto synonym = kSynonyms.find(value);
  if (synonym != kSynonyms.end() &&
      std::find(known.begin(), known.end(), synonym->second) != known.end()) {
    return " Did you mean '" + synonym->second + "'?";
  }
  return did_you_mean(value, known);
}

std::string join_or_none(const std::vector<std::string>& names) {
  return names.empty() ? "none" : join_names(names);
}

}  // namespace attnlab::config
