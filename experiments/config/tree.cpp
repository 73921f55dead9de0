#include "experiments/config/tree.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>
#include <stdexcept>
#include <unordered_map>
#include <variant>

namespace attnlab::config {

std::string Position::to_string() const {
  if (!source) return "<built in>";
  if (line == 0) return *source;
  return *source + ":" + std::to_string(line) + ":" + std::to_string(column);
}

struct Tree::Node {
  using Value = std::variant<std::monostate, bool, std::int64_t, double, std::string,
                             std::vector<Tree>, std::vector<Entry>>;

  Kind kind;
  Value value;
  Position position;
  std::size_t node_count = 1;
  std::size_t depth = 1;
  /// Key -> place in the entries; only for maps long enough that a scan would be slow. The views
  /// point into `value`, so a node is never copied.
  std::unordered_map<std::string_view, std::size_t> index = {};

  /// Takes the alternative itself: g++ 12 warns (wrongly) when a whole variant is moved here.
  template <typename Alternative>
  Node(Kind kind_in, Alternative&& value_in, Position position_in)
      : kind(kind_in),
        value(std::forward<Alternative>(value_in)),
        position(std::move(position_in)) {}
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  void count(const Tree& child) {
    const std::size_t room = std::numeric_limits<std::size_t>::max() - node_count;
    node_count += std::min(child.node_count(), room);
    depth = std::max(depth, child.depth() + 1);
  }
};

namespace {

constexpr std::size_t kIndexedFrom = 16;

std::optional<std::size_t> list_index(std::string_view text, std::size_t size) {
  std::size_t index = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), index);
  if (error != std::errc() || end != text.data() + text.size() || index >= size) return {};
  return index;
}

std::string_view first_key(std::string_view path) { return path.substr(0, path.find('.')); }

std::string_view after_first(std::string_view path) {
  const std::size_t dot = path.find('.');
  return dot == std::string_view::npos ? std::string_view() : path.substr(dot + 1);
}

}  // namespace

Tree::Tree() : Tree(null()) {}

Tree Tree::missing(Position position) {
  return Tree(std::make_shared<Node>(Kind::kMissing, std::monostate(), std::move(position)));
}
Tree Tree::null(Position position) {
  return Tree(std::make_shared<Node>(Kind::kNull, std::monostate(), std::move(position)));
}
Tree Tree::of_bool(bool value, Position position) {
  return Tree(std::make_shared<Node>(Kind::kBool, value, std::move(position)));
}
Tree Tree::of_int(std::int64_t value, Position position) {
  return Tree(std::make_shared<Node>(Kind::kInt, value, std::move(position)));
}
Tree Tree::of_float(double value, Position position) {
  return Tree(std::make_shared<Node>(Kind::kFloat, value, std::move(position)));
}
Tree Tree::of_string(std::string value, Position position) {
  return Tree(std::make_shared<Node>(Kind::kString, std::move(value), std::move(position)));
}

Tree Tree::of_list(std::vector<Tree> items, Position position) {
  auto node = std::make_shared<Node>(Kind::kList, std::move(items), std::move(position));
  for (const Tree& item : std::get<std::vector<Tree>>(node->value)) node->count(item);
  return Tree(std::move(node));
}

Tree Tree::of_map(std::vector<Entry> entries, Position position) {
  auto node = std::make_shared<Node>(Kind::kMap, std::move(entries), std::move(position));
  const auto& stored = std::get<std::vector<Entry>>(node->value);
  const bool indexed = stored.size() >= kIndexedFrom;
  for (std::size_t i = 0; i < stored.size(); ++i) {
    node->count(stored[i].second);
    const auto same = [&](const Entry& entry) { return entry.first == stored[i].first; };
    const bool is_new = indexed ? node->index.emplace(stored[i].first, i).second
                                : std::none_of(stored.begin(), stored.begin() + i, same);
    if (!is_new) throw std::logic_error("Tree::of_map: key '" + stored[i].first + "' twice");
  }
  return Tree(std::move(node));
}

Tree::Kind Tree::kind() const { return node_->kind; }

const char* Tree::kind_name() const {
  switch (kind()) {
    case Kind::kMissing: return "not set (\?\?\?)";
    case Kind::kNull: return "null";
    case Kind::kBool: return "a bool";
    case Kind::kInt: return "an int";
    case Kind::kFloat: return "a float";
    case Kind::kString: return "a string";
    case Kind::kList: return "a list";
    case Kind::kMap: return "a map";
  }
  throw std::logic_error("Tree: unknown kind");
}

const Position& Tree::position() const { return node_->position; }

bool Tree::as_bool() const {
  if (kind() != Kind::kBool) throw std::logic_error("Tree: not a bool");
  return std::get<bool>(node_->value);
}
std::int64_t Tree::as_int() const {
  if (kind() != Kind::kInt) throw std::logic_error("Tree: not an int");
  return std::get<std::int64_t>(node_->value);
}
double Tree::as_float() const {
  if (kind() != Kind::kFloat) throw std::logic_error("Tree: not a float");
  return std::get<double>(node_->value);
}
const std::string& Tree::as_string() const {
  if (kind() != Kind::kString) throw std::logic_error("Tree: not a string");
  return std::get<std::string>(node_->value);
}
const std::vector<Tree>& Tree::items() const {
  if (kind() != Kind::kList) throw std::logic_error("Tree: not a list");
  return std::get<std::vector<Tree>>(node_->value);
}
const std::vector<Tree::Entry>& Tree::entries() const {
  if (kind() != Kind::kMap) throw std::logic_error("Tree: not a map");
  return std::get<std::vector<Entry>>(node_->value);
}

std::vector<std::string> Tree::keys() const {
  std::vector<std::string> result;
  for (const Entry& entry : entries()) result.push_back(entry.first);
  return result;
}

const Tree* Tree::find(std::string_view key) const {
  if (!is_map()) return nullptr;
  const auto& all = std::get<std::vector<Entry>>(node_->value);
  if (!node_->index.empty()) {
    const auto found = node_->index.find(key);
    return found == node_->index.end() ? nullptr : &all[found->second].second;
  }
  for (const Entry& entry : all) {
    if (entry.first == key) return &entry.second;
  }
  return nullptr;
}

const Tree* Tree::find_path(std::string_view path) const {
  const Tree* node = this;
  for (const std::string& key : split_path(path)) {
    if (node->is_list()) {
      const auto index = list_index(key, node->items().size());
      node = index ? &node->items()[*index] : nullptr;
    } else {
      node = node->find(key);
    }
    if (node == nullptr) return nullptr;
  }
  return node;
}

Tree Tree::with(std::string_view key, Tree value) const {
  std::vector<Entry> changed = entries();
  const auto place = std::find_if(changed.begin(), changed.end(),
                                  [&](const Entry& entry) { return entry.first == key; });
  if (place == changed.end()) {
    changed.emplace_back(std::string(key), std::move(value));
  } else {
    place->second = std::move(value);
  }
  return of_map(std::move(changed), position());
}

Tree Tree::without(std::string_view key) const {
  std::vector<Entry> kept;
  for (const Entry& entry : entries()) {
    if (entry.first != key) kept.push_back(entry);
  }
  return of_map(std::move(kept), position());
}

Tree Tree::with_path(std::string_view path, Tree value) const {
  if (path.empty()) return value;
  const std::string_view key = first_key(path);
  const std::string_view rest = after_first(path);
  if (is_list()) {
    const auto index = list_index(key, items().size());
    if (!index) throw std::logic_error("Tree::with_path: no such index: " + std::string(key));
    std::vector<Tree> changed = items();
    changed[*index] = changed[*index].with_path(rest, std::move(value));
    return of_list(std::move(changed), position());
  }
  const Tree base = is_map() ? *this : of_map({}, value.position());
  const Tree* child = base.find(key);
  const Tree inner = child != nullptr ? *child : of_map({}, value.position());
  return base.with(key, inner.with_path(rest, std::move(value)));
}

Tree Tree::without_path(std::string_view path) const {
  const std::string_view key = first_key(path);
  const std::string_view rest = after_first(path);
  if (is_list()) {
    const auto index = list_index(key, items().size());
    if (!index) return *this;
    std::vector<Tree> changed = items();
    if (rest.empty()) {
      changed.erase(changed.begin() + static_cast<std::ptrdiff_t>(*index));
    } else {
      changed[*index] = changed[*index].without_path(rest);
    }
    return of_list(std::move(changed), position());
  }
  const Tree* child = find(key);
  if (child == nullptr) return *this;
  return rest.empty() ? without(key) : with(key, child->without_path(rest));
}

Tree Tree::at(Position position) const {
  switch (kind()) {
    case Kind::kList: return of_list(items(), std::move(position));
    case Kind::kMap: return of_map(entries(), std::move(position));
    default: return Tree(std::make_shared<Node>(kind(), node_->value, std::move(position)));
  }
}

std::size_t Tree::node_count() const { return node_->node_count; }
std::size_t Tree::depth() const { return node_->depth; }

bool Tree::operator==(const Tree& other) const {
  if (node_ == other.node_) return true;
  if (kind() != other.kind()) return false;
  switch (kind()) {
    case Kind::kFloat: {
      const double a = as_float(), b = other.as_float();
      return a == b || (std::isnan(a) && std::isnan(b));
    }
    case Kind::kList: return items() == other.items();
    case Kind::kMap: {
      if (entries().size() != other.entries().size()) return false;
      return std::all_of(entries().begin(), entries().end(), [&](const Entry& entry) {
        const Tree* twin = other.find(entry.first);
        return twin != nullptr && *twin == entry.second;
      });
    }
    default: return node_->value == other.node_->value;
  }
}

Tree merge(const Tree& base, const Tree& over) {
  if (over.is_missing()) return base;
  if (!base.is_map() || !over.is_map()) return over;
  std::vector<Tree::Entry> merged;
  for (const auto& [key, value] : base.entries()) {
    const Tree* winner = over.find(key);
    merged.emplace_back(key, winner == nullptr ? value : merge(value, *winner));
  }
  for (const auto& [key, value] : over.entries()) {
    if (base.find(key) == nullptr) merged.emplace_back(key, value);
  }
  return Tree::of_map(std::move(merged), over.position());
}

std::vector<std::string> split_path(std::string_view path) {
  std::vector<std::string> keys;
  if (path.empty()) return keys;
  std::size_t begin = 0;
  for (std::size_t dot; (dot = path.find('.', begin)) != std::string_view::npos; begin = dot + 1) {
    keys.emplace_back(path.substr(begin, dot - begin));
  }
  keys.emplace_back(path.substr(begin));
  return keys;
}

std::string join_path(std::string_view parent, std::string_view key) {
  if (parent.empty()) return std::string(key);
  if (key.empty()) return std::string(parent);
  return std::string(parent) + "." + std::string(key);
}

}  // namespace attnlab::config
