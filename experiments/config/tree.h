// The immutable value tree of a configuration: what a YAML file or an override becomes at once, so
// that no parser type leaves this folder. Copies share nodes (cheap); "changing" functions return a
// new tree. Every node knows where it was written, for messages and for `explain`.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace attnlab::config {

/// Where a value was written: a file with line and column (from 1), or another source such as
/// "override 'a=1'" with line 0.
struct Position {
  std::shared_ptr<const std::string> source;
  int line = 0;
  int column = 0;

  /// "file:line:col", or the source alone; "<built in>" where there is none.
  std::string to_string() const;
};

/// Limits against hostile input; each refusal names the limit.
inline constexpr std::size_t kMaxDepth = 64;
inline constexpr std::size_t kMaxNodes = 100'000;
inline constexpr std::size_t kMaxFileBytes = std::size_t{1} << 20;
inline constexpr std::size_t kMaxStringBytes = std::size_t{64} << 10;
inline constexpr std::size_t kMaxKeyBytes = 1000;

class Tree {
 public:
  enum class Kind { kMissing, kNull, kBool, kInt, kFloat, kString, kList, kMap };
  using Entry = std::pair<std::string, Tree>;

  /// Null.
  Tree();
  static Tree missing(Position position = {});
  static Tree null(Position position = {});
  static Tree of_bool(bool value, Position position = {});
  static Tree of_int(std::int64_t value, Position position = {});
  static Tree of_float(double value, Position position = {});
  static Tree of_string(std::string value, Position position = {});
  static Tree of_list(std::vector<Tree> items, Position position = {});
  /// The keys must differ (std::logic_error).
  static Tree of_map(std::vector<Entry> entries, Position position = {});

  Kind kind() const;
  bool is_missing() const { return kind() == Kind::kMissing; }
  bool is_null() const { return kind() == Kind::kNull; }
  bool is_string() const { return kind() == Kind::kString; }
  bool is_list() const { return kind() == Kind::kList; }
  bool is_map() const { return kind() == Kind::kMap; }
  /// "an int", "a list", "null", ... as messages name it.
  const char* kind_name() const;
  const Position& position() const;

  /// The value; std::logic_error for another kind.
  bool as_bool() const;
  std::int64_t as_int() const;
  double as_float() const;
  const std::string& as_string() const;
  const std::vector<Tree>& items() const;
  const std::vector<Entry>& entries() const;
  std::vector<std::string> keys() const;

  /// The value of one key of a map; nullptr where there is none, or where this is not a map.
  /// The pointer lives as long as this tree.
  const Tree* find(std::string_view key) const;
  /// The value at "a.b.0": keys of maps and indices of lists. "" is the tree itself.
  const Tree* find_path(std::string_view path) const;

  /// This map with `key` set (appended where it is new) or removed.
  Tree with(std::string_view key, Tree value) const;
  Tree without(std::string_view key) const;
  /// The same with a path. `with_path` makes maps on the way where there is none (a scalar on the
  /// way is replaced); an index of a list must exist (std::logic_error).
  Tree with_path(std::string_view path, Tree value) const;
  Tree without_path(std::string_view path) const;
  /// The same value, said to be written elsewhere.
  Tree at(Position position) const;

  /// True for copies of one tree, which cost nothing to compare.
  bool is_same(const Tree& other) const { return node_ == other.node_; }

  /// Number of nodes, shared ones counted each time they appear (saturating), and levels.
  std::size_t node_count() const;
  std::size_t depth() const;

  /// Same kinds and values; the order of map keys and the positions do not count; NaN equals NaN.
  bool operator==(const Tree& other) const;

 private:
  struct Node;
  explicit Tree(std::shared_ptr<const Node> node) : node_(std::move(node)) {}
  std::shared_ptr<const Node> node_;
};

/// Maps are merged key by key, everything else of `over` replaces `base`; only a missing value
/// (???) replaces nothing.
Tree merge(const Tree& base, const Tree& over);

/// The keys of a path: "a.b" -> {"a", "b"}; "" -> {}.
std::vector<std::string> split_path(std::string_view path);
/// "a" + "b" -> "a.b"; an empty side vanishes.
std::string join_path(std::string_view parent, std::string_view key);

}  // namespace attnlab::config
