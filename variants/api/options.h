// Options of a variant: declared once (name, default, allowed values, one line of help), then
// checked and filled. The declaration feeds config validation, `attnlab list`, the CSV column and
// the docs.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "kernels/core/names.h"

namespace attnlab {

using OptionValue = std::variant<bool, std::int64_t, double, std::string>;

/// One option that a variant takes. The alternative held by `default_value` is the option's type;
/// an integer is accepted where a float is declared, nothing else is converted.
struct OptionSpec {
  std::string name;
  OptionValue default_value;
  std::string help;
  std::vector<std::string> choices = {};  ///< allowed strings; empty = any
  double min = -1e300;                    ///< smallest number allowed
  double max = 1e300;                     ///< largest number allowed
};

/// The options of one variant instance: every declared option has a value.
class Options {
 public:
  Options() = default;

  /// Fills defaults and checks `given`. Throws ConfigError for an unknown name (naming the nearest
  /// known one), a wrong type or a value out of range. `owner` names the variant in messages.
  Options(std::string_view owner, const std::vector<OptionSpec>& specs,
          const std::map<std::string, OptionValue>& given);

  /// Throws std::logic_error for a name that was not declared, or for another type.
  bool get_bool(const std::string& name) const;
  std::int64_t get_int(const std::string& name) const;
  double get_float(const std::string& name) const;
  const std::string& get_string(const std::string& name) const;

  const std::map<std::string, OptionValue>& values() const { return values_; }

  /// One JSON object, keys sorted: `{"window":256}`. The CSV column `options`.
  std::string to_json() const;

 private:
  std::map<std::string, OptionValue> values_;
};

/// "256", "true", "elu": as a user would write it in an override.
std::string to_string(const OptionValue& value);

}  // namespace attnlab
