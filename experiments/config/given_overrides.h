// The overrides of a command line, read together: what one word cannot tell about itself.
#pragma once

#include <vector>

#include "experiments/config/compose.h"
#include "experiments/config/group_files.h"
#include "experiments/config/override.h"

namespace attnlab::config {

/// The request's overrides: globs expanded, those of `hydra` left out where nothing is known about
/// the keys, and in a sweep one for each key. Throws ConfigError, with a hint where a word is none.
std::vector<Override> given_overrides(const ComposeRequest& request, const ConfigFiles& files);

/// A glob becomes the options that match. Throws ConfigError where the key is no group.
void expand_glob(Override& override_, const ComposeRequest& request, const ConfigFiles& files);

/// True if a sweep has no values, so that there are no jobs; ConfigError unless `schema_free`.
bool has_empty_sweep(const std::vector<Override>& given, const ComposeRequest& request,
                     const ConfigFiles& files);

}  // namespace attnlab::config
