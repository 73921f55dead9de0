#include "experiments/config/given_overrides.h"

#include <fmt/format.h>

#include <algorithm>

#include "experiments/config/defaults_list.h"
#include "experiments/config/override_hints.h"
#include "experiments/config/suggest.h"
#include "kernels/core/error.h"

namespace attnlab::config {
namespace {

[[noreturn]] void fail(const Position& position, const std::string& message) {
  throw ConfigError(fmt::format("[config] {}: {}", position.to_string(), message));
}

bool is_group(const Override& override_, const ComposeRequest& request, const ConfigFiles& files) {
  return is_group_key(files, request.open_groups, override_.key);
}

Override parsed(std::size_t number, const ComposeRequest& request, const ConfigFiles& files) {
  try {
    return parse_override(request.overrides[number]);
  } catch (const ConfigError& error) {
    const std::string hint = override_hint(request.overrides, number, files);
    throw ConfigError(error.what() + hint);
  }
}

/// Hydra rewrites the overrides of a sweep by key: the last one counts, in the place of the
/// first.
void drop_repeats(std::vector<Override>& given) {
  if (std::none_of(given.begin(), given.end(), [](const Override& o) { return o.is_sweep; })) {
    return;
  }
  std::vector<Override> kept;
  for (Override& override_ : given) {
    const auto same = std::find_if(kept.begin(), kept.end(), [&](const Override& other) {
      return other.target() == override_.target() && other.kind == override_.kind;
    });
    if (same == kept.end()) {
      kept.push_back(std::move(override_));
    } else {
      *same = std::move(override_);
    }
  }
  given = std::move(kept);
}

}  // namespace

std::vector<Override> given_overrides(const ComposeRequest& request, const ConfigFiles& files) {
  std::vector<Override> given;
  if (request.overrides.size() > kMaxOverrides) {
    throw ConfigError(fmt::format(
        "[config] override '{}' and others: {} overrides on one command line; at most "
        "{} are allowed, put the others into a config file",
        request.overrides.front().substr(0, 100), request.overrides.size(), kMaxOverrides));
  }
  for (std::size_t i = 0; i < request.overrides.size(); ++i)
    given.push_back(parsed(i, request, files));
  if (request.schema_free) {
    std::erase_if(given, [](const Override& override_) {
      return is_below_hydra(override_.key) && !override_.is_sweep;
    });
  }
  for (Override& override_ : given) expand_glob(override_, request, files);
  drop_repeats(given);
  return given;
}

void expand_glob(Override& override_, const ComposeRequest& request, const ConfigFiles& files) {
  if (!override_.glob) return;
  if (!is_group(override_, request, files)) {
    fail(override_.position,
         fmt::format("glob() chooses among the options of a group, and there is no group '{}'. "
                     "Groups: {}",
                     override_.key, join_or_none(files.group_names())));
  }
  for (const std::string& name : override_.glob->filter(files.option_names(override_.key))) {
    override_.values.push_back(Tree::of_string(name, override_.position));
  }
  override_.glob.reset();
}

bool has_empty_sweep(const std::vector<Override>& given, const ComposeRequest& request,
                     const ConfigFiles& files) {
  const auto empty = std::find_if(given.begin(), given.end(), [](const Override& override_) {
    return override_.is_sweep && override_.values.empty();
  });
  if (empty == given.end()) return false;
  if (!request.schema_free) {
    const std::string options =
        is_group(*empty, request, files)
            ? " Options: " + join_or_none(files.option_names(empty->key))
            : " A range ends before its second number, and counts down only with a negative step";
    fail(empty->position, "the sweep has no values, so there would be nothing to run." + options);
  }
  return true;
}

}  // namespace attnlab::config
