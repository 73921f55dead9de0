#include "experiments/config/interpolation.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <optional>
#include <stdexcept>

#include "experiments/config/scalar.h"
#include "experiments/config/suggest.h"
#include "kernels/core/error.h"
#include "kernels/core/names.h"

namespace attnlab::config {
namespace {

using Path = std::vector<std::string>;

constexpr std::size_t kMaxInterpolationDepth = 32;
constexpr std::size_t kMaxTextBytes = std::size_t{16} << 20;

std::string path_text(const Path& path) {
  std::string text;
  for (const std::string& key : path) text += (text.empty() ? "" : ".") + key;
  return text;
}

/// Place of the first `${` from `from` on that no odd run of backslashes escapes; the number of
/// backslashes in front of it goes to `backslashes`. Escaped ones are reported too.
std::size_t find_opening(const std::string& text, std::size_t from, std::size_t& backslashes) {
  const std::size_t place = text.find("${", from);
  backslashes = 0;
  if (place == std::string::npos) return place;
  while (place - backslashes > from && text[place - backslashes - 1] == '\\') ++backslashes;
  return place;
}

class Resolver {
 public:
  explicit Resolver(const Tree& root) : root_(root) {}

  Tree resolve(const Tree& tree, Path& path) {
    switch (tree.kind()) {
      case Tree::Kind::kString: return resolve_string(tree, path);
      case Tree::Kind::kList: {
        std::vector<Tree> items;
        for (std::size_t i = 0; i < tree.items().size(); ++i) {
          path.push_back(std::to_string(i));
          items.push_back(resolve(tree.items()[i], path));
          path.pop_back();
        }
        return checked(Tree::of_list(std::move(items), tree.position()));
      }
      case Tree::Kind::kMap: {
        std::vector<Tree::Entry> entries;
        for (const auto& [key, value] : tree.entries()) {
          path.push_back(key);
          entries.emplace_back(key, resolve(value, path));
          path.pop_back();
        }
        return checked(Tree::of_map(std::move(entries), tree.position()));
      }
      default: return tree;
    }
  }

 private:
  [[noreturn]] void fail(const std::string& message) const {
    throw ConfigError(fmt::format("[config] {}: {}", position_.to_string(), message));
  }

  Tree checked(Tree tree) const {
    if (tree.node_count() > kMaxNodes) {
      fail(fmt::format("interpolation makes more than {} values", kMaxNodes));
    }
    if (tree.depth() > kMaxDepth) {
      fail(fmt::format("interpolation nests values deeper than {} levels", kMaxDepth));
    }
    return tree;
  }

  /// Every result becomes a part of the config, so their sum has the limits of a config. Without
  /// it, many references to one large value would take all memory before the whole is checked.
  void count(const Tree& result) {
    nodes_ += std::min(result.node_count(), kMaxNodes + 1);
    if (result.is_string()) text_bytes_ += result.as_string().size();
    if (nodes_ > kMaxNodes || text_bytes_ > kMaxTextBytes) {
      fail(fmt::format("interpolation makes more than {} values or {} bytes of text", kMaxNodes,
                       kMaxTextBytes));
    }
  }

  /// A string of the tree, once: the result is kept, so that chains cost no more than their length.
  Tree resolve_string(const Tree& tree, const Path& path) {
    const std::string& text = tree.as_string();
    if (text.find("${") == std::string::npos) return tree;
    if (const auto known = known_.find(path); known != known_.end()) return known->second;
    const Position outer_position = position_;
    position_ = tree.position();
    if (std::find(active_.begin(), active_.end(), path) != active_.end()) {
      std::string chain;
      for (const Path& step : active_) chain += path_text(step) + " -> ";
      fail(fmt::format("the interpolation refers to itself: {}{}", chain, path_text(path)));
    }
    if (active_.size() >= kMaxInterpolationDepth) {
      fail(fmt::format("interpolations refer to each other more than {} deep",
                       kMaxInterpolationDepth));
    }
    active_.push_back(path);
    const Tree result = checked(evaluate(text, path, 0).at(tree.position()));
    active_.pop_back();
    position_ = outer_position;
    count(result);
    known_.emplace(path, result);
    return result;
  }

  /// The value of a text with interpolations; `depth` counts `${` inside `${`.
  Tree evaluate(const std::string& text, const Path& path, std::size_t depth) {
    if (depth >= kMaxInterpolationDepth) {
      fail(fmt::format("interpolations are nested more than {} deep", kMaxInterpolationDepth));
    }
    std::string result;
    std::size_t from = 0;
    while (true) {
      std::size_t backslashes = 0;
      const std::size_t open = find_opening(text, from, backslashes);
      if (open == std::string::npos) return Tree::of_string(result + text.substr(from), position_);
      result += text.substr(from, open - backslashes - from);
      // In front of ${ a pair of backslashes is one, and a single one takes its meaning away.
      result.append(backslashes / 2, '\\');
      if (backslashes % 2 == 1) {
        result += "${";
        from = open + 2;
        continue;
      }
      const std::size_t close = closing_brace(text, open);
      const Tree value = evaluate_body(text.substr(open + 2, close - open - 2), path, depth);
      if (open == 0 && close + 1 == text.size()) return value;
      result += interpolated_text(value);
      if (result.size() > kMaxStringBytes) {
        fail(fmt::format("interpolation makes a text of more than {} bytes", kMaxStringBytes));
      }
      from = close + 1;
    }
  }

  std::size_t closing_brace(const std::string& text, std::size_t open) const {
    std::size_t depth = 0;
    for (std::size_t i = open + 1; i < text.size(); ++i) {
      if (text[i] == '{') ++depth;
      if (text[i] == '}' && --depth == 0) return i;
    }
    fail(fmt::format("the closing '}}' of '{}' is missing", text.substr(open)));
  }

  /// What stands between ${ and }: a path, or resolver:arguments.
  Tree evaluate_body(const std::string& body, const Path& path, std::size_t depth) {
    const std::string inner = interpolated_text(evaluate(body, path, depth + 1));
    const std::size_t colon = inner.find(':');
    if (colon != std::string::npos) return call(inner.substr(0, colon), inner.substr(colon + 1));
    return look_up(inner, path);
  }

  Tree call(const std::string& name, const std::string& arguments) {
    static const std::vector<std::string> kResolvers = {"oc.env"};
    if (name != "oc.env") {
      fail(fmt::format("unknown resolver '{}'.{} Known: {}", name, did_you_mean(name, kResolvers),
                       join_names(kResolvers)));
    }
    const std::size_t comma = arguments.find(',');
    const std::string variable = arguments.substr(0, comma);
    if (const char* value = std::getenv(variable.c_str())) return Tree::of_string(value, position_);
    if (comma == std::string::npos) {
      fail(
          fmt::format("the environment variable '{}' is not set; set it, or give a default: "
                      "${{oc.env:{},default}}",
                      variable, variable));
    }
    std::string fallback = arguments.substr(comma + 1);
    fallback.erase(0, fallback.find_first_not_of(' '));
    if (fallback == "null") return Tree::null(position_);
    const bool quoted = fallback.size() >= 2 && fallback.front() == fallback.back() &&
                        (fallback.front() == '\'' || fallback.front() == '"');
    return Tree::of_string(quoted ? fallback.substr(1, fallback.size() - 2) : fallback, position_);
  }

  /// "a.b", "a[0].b", ".x", "..x" -> keys from the top.
  Path absolute(const std::string& text, const Path& from) const {
    std::string dotted;
    for (const char c : text) {
      if (c == ']') continue;
      dotted += c == '[' ? '.' : c;
    }
    std::size_t dots = dotted.find_first_not_of('.');
    if (dots == std::string::npos) dots = dotted.size();
    Path path;
    if (dots > 0) {
      if (dots > from.size()) fail(fmt::format("'${{{}}}' goes above the top of the config", text));
      path.assign(from.begin(), from.end() - static_cast<std::ptrdiff_t>(dots));
    }
    for (std::string& key : split_path(dotted.substr(dots))) path.push_back(std::move(key));
    return path;
  }

  Tree look_up(const std::string& text, const Path& from) {
    const Path wanted = absolute(text, from);
    const Tree* node = &root_;
    // An interpolation on the way is resolved first; what it gives has no path of its own any more.
    std::optional<Tree> detached;
    Path reached;
    for (const std::string& key : wanted) {
      if (node->is_string() && node->as_string().find("${") != std::string::npos) {
        detached = resolve_string(*node, reached);
        node = &*detached;
      }
      const Tree* next = node->is_list() ? node->find_path(key) : node->find(key);
      if (next == nullptr) {
        const std::string path = path_text(wanted);
        fail(fmt::format("'${{{}}}' refers to '{}', which does not exist.{}", text, path,
                         suggest_path(path, all_paths(root_))));
      }
      // The copy keeps the node alive when `detached` is replaced.
      if (detached) {
        detached = Tree(*next);
        node = &*detached;
      } else {
        node = next;
      }
      reached.push_back(key);
    }
    if (node->is_missing()) {
      fail(fmt::format("'${{{}}}' refers to '{}', which has no value yet (\?\?\?); set it", text,
                       path_text(wanted)));
    }
    if (detached) return *detached;
    return resolve(*node, reached);
  }

  const Tree& root_;
  Position position_;
  std::vector<Path> active_;
  std::map<Path, Tree> known_;
  std::size_t nodes_ = 0;
  std::size_t text_bytes_ = 0;
};

}  // namespace

Tree resolve_interpolations(const Tree& root) {
  Path path;
  return Resolver(root).resolve(root, path);
}

Tree resolve_at(const Tree& root, const std::vector<std::string>& path) {
  const Tree* node = &root;
  for (const std::string& key : path) {
    node = node->find(key);
    if (node == nullptr) throw std::logic_error("resolve_at: no such path: " + path_text(path));
  }
  Path place = path;
  return Resolver(root).resolve(*node, place);
}

}  // namespace attnlab::config
