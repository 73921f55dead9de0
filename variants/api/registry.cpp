#include "variants/api/registry.h"

#include <fmt/format.h>

#include <cctype>

#include "kernels/core/error.h"

namespace attnlab {
namespace {

bool is_valid_name(const std::string& name) {
  if (name.empty() || name[0] < 'a' || name[0] > 'z') return false;
  for (const char c : name) {
    if (!(c == '_' || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))) return false;
  }
  return true;
}

}  // namespace

void Registry::add(Entry entry) {
  if (!is_valid_name(entry.name)) {
    throw ConfigError(fmt::format(
        "[registry] '{}' (from {}) is no name for a variant. Allowed: a lower-case letter, then "
        "lower-case letters, digits and underscores.",
        entry.name, entry.origin));
  }
  const auto found = entries_.find(entry.name);
  if (found != entries_.end()) {
    throw ConfigError(fmt::format(
        "[registry] two variants are named '{}': one from {}, one from {}. Rename one of them.",
        entry.name, found->second.origin, entry.origin));
  }
  entries_.emplace(entry.name, std::move(entry));
}

const Registry::Entry& Registry::entry(const std::string& name) const {
  const auto found = entries_.find(name);
  if (found != entries_.end()) return found->second;
  throw ConfigError(fmt::format("[registry] there is no variant '{}'.{} Known: {}.", name,
                                did_you_mean(name, names()), join_names(names())));
}

std::unique_ptr<Variant> Registry::make(const std::string& name,
                                        const std::map<std::string, OptionValue>& options) const {
  const Entry& found = entry(name);
  return found.factory(Options(name, found.option_specs, options));
}

std::vector<std::string> Registry::names() const {
  std::vector<std::string> out;
  for (const auto& [name, entry] : entries_) out.push_back(name);
  return out;
}

}  // namespace attnlab
