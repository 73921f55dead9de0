// One override as written on the command line: `key=value`, `+key=value`, `++key=value`, `~key`,
// with Hydra's value grammar: words, quotes, [lists], {dicts: 1}, comma sweeps, choice(...),
// range(...), and the other functions of value_functions.h.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "experiments/config/tree.h"
#include "experiments/config/value_parser.h"

namespace attnlab::config {

struct Override {
  enum class Kind {
    kAssign,  ///< key=value: the key must exist
    kAppend,  ///< +key=value: the key must be new
    kForce,   ///< ++key=value: either
    kDelete,  ///< ~key or ~key=value
  };

  Kind kind = Kind::kAssign;
  std::string key;      ///< "a.b.c", or a group "a/b", without the package
  std::string package;  ///< what stands behind '@'; empty = none
  /// One value; several where `is_sweep`; none for `~key`.
  std::vector<Tree> values;
  bool is_sweep = false;
  /// The sweep is over those options of the group that match; `values` is empty until then.
  std::optional<Glob> glob = {};
  bool extends = false;  ///< the value is a list to append to the one that is there
  Position position;
  std::string text;  ///< as written

  /// The key with its package, without the sign in front: what two overrides of one thing share.
  std::string target() const { return package.empty() ? key : key + "@" + package; }
  /// This override with one of its values.
  Override with_value(const Tree& value) const;
};

/// Throws ConfigError naming the override, the place in it and what was expected.
Override parse_override(std::string_view text);

/// The override for one entry of a config's `sweep:` map. `key` may carry a sign and a package;
/// `value` is a list of values, one value, or a text with a sweep ("1,2", "range(1,4)").
Override override_of_sweep(const std::string& key, const Tree& value);

}  // namespace attnlab::config
