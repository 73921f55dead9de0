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

}  // namespace attnlab::config
