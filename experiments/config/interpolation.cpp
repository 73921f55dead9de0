#include "experiments/config/interpolation.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <stdexcept>

#include "experiments/config/interpolation_parser.h"
#include "experiments/config/resolvers.h"
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

class Resolver {
 public:
  explicit Resolver(const Tree& root) : root_(root) {}

  Tree resolve(const Tree& tree, Path& path) {
    switch (tree.kind()) {
      case Tree::Kind::kString: return resolve_string(tree, path);
      case Tree::Kind::kList: {
        std::vector<Tree> items;
        bool same = true;
        for (std::size_t i = 0; i < tree.items().size(); ++i) {
          path.push_back(std::to_string(i));
          items.push_back(resolve(tree.items()[i], path));
          same = same && items.back().is_same(tree.items()[i]);
          path.pop_back();
        }
        return same ? tree : checked(Tree::of_list(std::move(items), tree.position()));
      }
      case Tree::Kind::kMap: {
        std::vector<Tree::Entry> entries;
        bool same = true;
        for (const auto& [key, value] : tree.entries()) {
          path.push_back(key);
          entries.emplace_back(key, resolve(value, path));
          same = same && entries.back().second.is_same(value);
          path.pop_back();
        }
        return same ? tree : checked(Tree::of_map(std::move(entries), tree.position()));
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
    const Tree result =
        checked(value_of(evaluate(parse_interpolated(text, position_), path)).at(tree.position()));
    active_.pop_back();
    position_ = outer_position;
    count(result);
    known_.emplace(path, result);
    return result;
  }

  /// A value that is not resolved yet where it is a part of the config, because a text shows it as
  /// it is written, and because its own references start from there.
  struct Found {
    Tree tree;
    std::optional<Path> path;
    bool by_resolver = false;  ///< found by its name in an argument, not by a reference
  };

  Tree value_of(const Found& found) {
    if (!found.path) return found.tree;
    Path path = *found.path;
    return resolve(found.tree, path);
  }

  std::string text_of(const Found& found) const {
    const bool around = found.path && !found.by_resolver && !active_.empty() &&
                        found.path->size() <= active_.back().size() &&
                        std::equal(found.path->begin(), found.path->end(), active_.back().begin());
    if (around) {
      fail(fmt::format("the text at '{}' refers to '{}', which holds that text",
                       path_text(active_.back()), path_text(*found.path)));
    }
    return interpolated_text(found.tree);
  }

  Found evaluate(const Expression& expression, const Path& path) {
    switch (expression.kind) {
      case Expression::Kind::kLiteral: return {expression.literal, {}};
      case Expression::Kind::kReference: return look_up(expression, path);
      case Expression::Kind::kCall: return call(expression, path);
      case Expression::Kind::kText: {
        std::string text;
        for (const Expression& part : expression.parts) {
          text += text_of(evaluate(part, path));
          if (text.size() > kMaxStringBytes) {
            fail(fmt::format("interpolation makes a text of more than {} bytes", kMaxStringBytes));
          }
        }
        return {Tree::of_string(text, position_), {}};
      }
      case Expression::Kind::kList: {
        std::vector<Tree> items;
        for (const Expression& part : expression.parts) {
          items.push_back(value_of(evaluate(part, path)));
        }
        return {Tree::of_list(std::move(items), position_), {}};
      }
      case Expression::Kind::kDict: {
        std::vector<Tree::Entry> entries;
        for (std::size_t i = 0; i < expression.parts.size(); ++i) {
          entries.emplace_back(expression.keys[i], value_of(evaluate(expression.parts[i], path)));
        }
        return {Tree::of_map(std::move(entries), position_), {}};
      }
    }
    throw std::logic_error("interpolation: unknown expression");
  }

  /// A key given by an interpolation: text, or an index.
  std::string key_of(const Expression& part, const Path& path) {
    const Tree key = value_of(evaluate(part, path));
    if (!key.is_string() && key.kind() != Tree::Kind::kInt) {
      fail(fmt::format("'{}' stands for a key and gives {} instead of a text", part.source,
                       key.kind_name()));
    }
    return interpolated_text(key);
  }

  Found call(const Expression& expression, const Path& path) {
    std::string name;
    for (const Expression& part : expression.name) {
      name = join_path(name, key_of(part, path));
    }
    std::vector<Tree> arguments;
    for (const Expression& part : expression.parts) {
      arguments.push_back(value_of(evaluate(part, path)));
    }
    if (name == "oc.env") return {resolve_env(arguments, position_), {}};
    if (name == "now") return {resolve_now(arguments, position_), {}};
    if (name == "oc.create") return {resolve_create(arguments, position_), {}};
    if (name == "oc.decode") return decode(arguments, path);
    if (name == "oc.select") return select(arguments, path);
    if (name == "oc.deprecated") return deprecated(arguments, path);
    if (name == "oc.dict.keys") return {dict_keys(arguments, path), {}};
    if (name == "oc.dict.values") return {dict_values(arguments, path), {}};
    std::string hint = did_you_mean(name, resolver_names());
    if (name == "env") hint = " Did you mean 'oc.env'?";
    if (name == "hydra") hint = " There is no Hydra when attnlab runs.";
    fail(fmt::format("unknown resolver '{}'.{} Known: {}", name, hint,
                     join_names(resolver_names())));
  }

  Found decode(const std::vector<Tree>& arguments, const Path& path) {
    if (arguments.size() != 1 || (!arguments[0].is_string() && !arguments[0].is_null())) {
      fail("oc.decode takes one text, e.g. ${oc.decode:'[1,2]'}");
    }
    if (arguments[0].is_null()) return {arguments[0], {}};
    return evaluate(parse_argument(arguments[0].as_string(), position_), path);
  }

  const std::string& key_argument(const std::vector<Tree>& arguments, std::size_t most,
                                  const char* name) const {
    if (arguments.empty() || arguments.size() > most || !arguments[0].is_string()) {
      fail(fmt::format("{} takes a key{}, e.g. ${{{}:a.b}}", name,
                       most > 1 ? " and perhaps a default" : "", name));
    }
    return arguments[0].as_string();
  }

  Found select(const std::vector<Tree>& arguments, const Path& path) {
    const std::string& key = key_argument(arguments, 2, "oc.select");
    std::optional<Found> found = find(absolute(key, path));
    if (found && !found->tree.is_missing()) {
      found->by_resolver = true;
      return *found;
    }
    return {arguments.size() == 2 ? arguments[1] : Tree::null(position_), {}};
  }

  Found deprecated(const std::vector<Tree>& arguments, const Path& path) {
    const Path wanted = absolute(key_argument(arguments, 2, "oc.deprecated"), path);
    return must_find(wanted, path_text(wanted));
  }

  /// The map at a key, for oc.dict.keys and oc.dict.values.
  Found dict_at(const Path& wanted) {
    Found found = must_find(wanted, path_text(wanted));
    if (!found.tree.is_map()) {
      fail(fmt::format("'{}' is {}, not a map", path_text(wanted), found.tree.kind_name()));
    }
    return found;
  }

  Tree dict_keys(const std::vector<Tree>& arguments, const Path& path) {
    const Path wanted = absolute(key_argument(arguments, 1, "oc.dict.keys"), path);
    std::vector<Tree> keys;
    for (const std::string& key : dict_at(wanted).tree.keys()) {
      keys.push_back(Tree::of_string(key, position_));
    }
    return Tree::of_list(std::move(keys), position_);
  }

  Tree dict_values(const std::vector<Tree>& arguments, const Path& path) {
    const Path wanted = absolute(key_argument(arguments, 1, "oc.dict.values"), path);
    const Tree map = value_of(dict_at(wanted));
    std::vector<Tree> values;
    for (const auto& entry : map.entries()) values.push_back(entry.second);
    return Tree::of_list(std::move(values), position_);
  }

  Path above(const Path& from, std::size_t dots, const std::string& text) const {
    if (dots == 0) return {};
    if (dots > from.size()) fail(fmt::format("'{}' goes above the top of the config", text));
    return Path(from.begin(), from.end() - static_cast<std::ptrdiff_t>(dots));
  }

  /// "a.b", "a[0].b", ".x", "..x" -> keys from the top.
  Path absolute(const std::string& text, const Path& from) const {
    std::string dotted;
    for (const char c : text) {
      if (c == ']') continue;
      dotted += c == '[' ? '.' : c;
    }
    if (text.starts_with("[")) dotted.erase(0, 1);
    const std::size_t dots = std::min(dotted.find_first_not_of('.'), dotted.size());
    Path path = above(from, dots, text);
    for (std::string& key : split_path(dotted.substr(dots))) path.push_back(std::move(key));
    return path;
  }

  Found look_up(const Expression& reference, const Path& from) {
    Path wanted = above(from, reference.dots, reference.source);
    for (const Expression& part : reference.parts) {
      // A key that an interpolation gives may itself be a path.
      for (std::string& key : split_path(key_of(part, from))) wanted.push_back(std::move(key));
    }
    return must_find(wanted, reference.source);
  }

  /// An interpolation at the found place is resolved, containers are not.
  std::optional<Found> find(const Path& wanted) {
    Found found = {root_, Path()};
    for (const std::string& key : wanted) {
      found = followed(found);
      const Tree* next = found.tree.is_list() ? found.tree.find_path(key) : found.tree.find(key);
      if (next == nullptr) return {};
      found.tree = Tree(*next);
      if (found.path) found.path->push_back(key);
    }
    return followed(found);
  }

  Found followed(const Found& found) {
    if (!found.path || !found.tree.is_string()) return found;
    if (found.tree.as_string().find("${") == std::string::npos) return found;
    return {resolve_string(found.tree, *found.path), {}};
  }

  /// A sentence about the longest part of the path that exists.
  std::string why_not_found(const Path& wanted) {
    for (std::size_t size = wanted.size(); size-- > 1;) {
      const Path front(wanted.begin(), wanted.begin() + static_cast<std::ptrdiff_t>(size));
      const std::optional<Found> there = find(front);
      if (!there) continue;
      if (there->tree.is_list()) {
        return fmt::format(" '{}' is a list of {} values, counted from 0.", path_text(front),
                           there->tree.items().size());
      }
      if (!there->tree.is_map()) {
        return fmt::format(" '{}' is {} and has no keys.", path_text(front),
                           there->tree.kind_name());
      }
      break;
    }
    const std::string path = path_text(wanted);
    if (path.find_first_of("+*/ ") != std::string::npos) {
      return " Interpolations refer to keys; they do not compute.";
    }
    return suggest_or_list(path, all_paths(root_));
  }

  Found must_find(const Path& wanted, const std::string& text) {
    std::optional<Found> found = find(wanted);
    const std::string path = path_text(wanted);
    if (!found) {
      fail(fmt::format("'{}' refers to '{}', which does not exist.{}", text, path,
                       why_not_found(wanted)));
    }
    if (found->tree.is_missing()) {
      fail(fmt::format("'{}' refers to '{}', which has no value yet (\?\?\?, at {}); set it", text,
                       path, found->tree.position().to_string()));
    }
    return *found;
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
