// The resolvers that need nothing but their arguments: ${oc.env:...}, ${now:...}, and what
// ${oc.create:...} makes of a text. Those that look into the config are in interpolation.cpp.
#pragma once

#include <string>
#include <vector>

#include "experiments/config/tree.h"

namespace attnlab::config {

/// The names that ${name:...} may have.
const std::vector<std::string>& resolver_names();

/// From now on `resolve_env` refuses variables whose names speak of secrets (secret_names.h), with
/// a default or without: for programs that write the composed config down.
void refuse_secret_variables();

/// The environment variable `arguments[0]` as text, or the default `arguments[1]` as Python's str()
/// writes it (null stays null). ConfigError where neither is there.
Tree resolve_env(const std::vector<Tree>& arguments, const Position& position);

/// The time at which the program first asked for it, local, in strftime's `arguments[0]`.
Tree resolve_now(const std::vector<Tree>& arguments, const Position& position);

/// A list or map as it is; a text is read as YAML, where a single word becomes a key with null.
Tree resolve_create(const std::vector<Tree>& arguments, const Position& position);

}  // namespace attnlab::config
