// Which key was meant: hints for messages about unknown keys.
#pragma once

#include <string>
#include <vector>

#include "experiments/config/tree.h"

namespace attnlab::config {

/// Every path of a tree, maps and leaves, "a", "a.b", ...; at most `limit`.
std::vector<std::string> all_paths(const Tree& root, std::size_t limit = 2000);

/// " Did you mean 'shape.seqlen'?" or nothing. Tried in turn: a similar name beside it, the same or
/// a similar name elsewhere ("seqlen" for "shape.seqlen"), a similar path.
std::string suggest_path(const std::string& path, const std::vector<std::string>& known);

/// The same; where nothing is similar, the names at the nearest level that is known: " Keys of
/// 'shape': batch, heads." or " Keys: shape, seed." (at most 20 of them).
std::string suggest_or_list(const std::string& path, const std::vector<std::string>& known);

/// " Did you mean 'float16'?" for a value: also for other names of the same ("fp16", "gpu").
std::string suggest_value(const std::string& value, const std::vector<std::string>& known);

/// "a, b, c", or "none".
std::string join_or_none(const std::vector<std::string>& names);

}  // namespace attnlab::config
