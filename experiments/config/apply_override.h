// Applies one override of a value (not of a group's option) to a composed config.
#pragma once

#include <set>
#include <string>

#include "experiments/config/override.h"
#include "experiments/config/tree.h"

namespace attnlab::config {

/// `override_` has at most one value. `key=` wants an existing key (any key below an open group),
/// `+key=` a new one (or null, or `???`), `++key=` takes both; dicts are merged, everything else is
/// replaced. Throws ConfigError naming the nearest known key. `keys_are_known`: a schema has the
/// last word on keys, so no message advises to add one (but an option of `inputs`).
Tree apply_override(const Tree& config, const Override& override_,
                    const std::set<std::string>& open_groups, bool keys_are_known = false);

}  // namespace attnlab::config
