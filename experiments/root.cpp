#include "experiments/root.h"

#include <fmt/core.h>

#include <cstdlib>

#include "kernels/core/error.h"

namespace attnlab {

std::filesystem::path project_root() {
  const char* given = std::getenv("ATTNLAB_ROOT");
  const bool is_given = given != nullptr && *given != '\0';
  const std::filesystem::path root = is_given ? given : ATTNLAB_SOURCE_DIR;
  std::error_code error;
  if (!std::filesystem::is_directory(root, error)) {
    throw ConfigError(fmt::format(
        "[root] '{}' ({}) is no folder; set ATTNLAB_ROOT to the project's folder, which "
        "holds configs/ and experiments/",
        root.string(), is_given ? "from ATTNLAB_ROOT" : "built in"));
  }
  return root;
}

}  // namespace attnlab
