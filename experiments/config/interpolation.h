// Replaces ${...} by what it refers to.
#pragma once

#include <string>
#include <vector>

#include "experiments/config/tree.h"

namespace attnlab::config {

/// `root` with every interpolation replaced: `${a.b}` from the top, `${.x}` from the map that holds
/// the value, `${..x}` one level up, `${a.${b}}` nested, and the resolvers
/// `${oc.env:NAME,default}`, `oc.select`, `oc.decode`, `oc.create`, `oc.dict.keys`,
/// `oc.dict.values`, `oc.deprecated`, `now`. A value that is one interpolation takes over the type;
/// inside a longer text the value is written as Python prints it.
/// `\${` stays `${`. Throws ConfigError for an unknown key (naming the nearest), `???`, a cycle, an
/// unknown resolver, an unset variable, and beyond the limits of tree.h.
Tree resolve_interpolations(const Tree& root);

/// The same for the one value at `path` (keys from the top).
Tree resolve_at(const Tree& root, const std::vector<std::string>& path);

}  // namespace attnlab::config
