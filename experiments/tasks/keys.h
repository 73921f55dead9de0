// The keys of a task (seqlen, seed, ...), checked against their declaration. The declaration is the
// one that variants use for their options.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "variants/api/options.h"

namespace attnlab::tasks {

using KeyValues = std::map<std::string, OptionValue>;

/// Every declared key with a value of its type.
class Keys {
 public:
  /// Fills defaults and checks `given`; an int is taken where a float is declared. Throws
  /// ConfigError for an unknown key (naming the nearest), a wrong type, a value out of range.
  Keys(std::string_view task, const std::vector<OptionSpec>& specs, const KeyValues& given);

  /// Throws std::logic_error for a key that was not declared, or for another type.
  bool get_bool(const std::string& name) const;
  std::int64_t get_int(const std::string& name) const;
  double get_float(const std::string& name) const;
  const std::string& get_string(const std::string& name) const;
  std::uint64_t seed() const { return static_cast<std::uint64_t>(get_int("seed")); }

 private:
  KeyValues values_;
};

/// "seqlen=64" words as a command line has them. Throws ConfigError for words without `=`, keys
/// that are given twice, and what the constructor of Keys refuses.
KeyValues parse_words(std::string_view task, const std::vector<OptionSpec>& specs,
                      const std::vector<std::string>& words);

/// "int", "float", "bool", "string".
const char* type_name(const OptionValue& value);
/// As a user would write it.
std::string value_text(const OptionValue& value);
/// "int from 2 to 64", "one of copy, prefix, suffix".
std::string allowed_text(const OptionSpec& spec);

/// Declarations that tasks share.
OptionSpec int_key(std::string name, std::int64_t value, std::int64_t min, std::int64_t max,
                   std::string help);
OptionSpec float_key(std::string name, double value, double min, double max, std::string help);
OptionSpec choice_key(std::string name, std::string value, std::vector<std::string> choices,
                      std::string help);
OptionSpec seed_key();

/// Sane maxima: a slip of a zero does not fill the memory.
inline constexpr std::int64_t kMaxSeqlen = std::int64_t{1} << 24;
inline constexpr std::int64_t kMaxVocab = std::int64_t{1} << 24;

}  // namespace attnlab::tasks
