// Where the project's own files (configs, data) lie.
#pragma once

#include <filesystem>

namespace attnlab {

/// The environment's ATTNLAB_ROOT, else the source folder that this binary was built from. Throws
/// ConfigError where that is no folder (say, a binary that was moved to another machine).
std::filesystem::path project_root();

}  // namespace attnlab
