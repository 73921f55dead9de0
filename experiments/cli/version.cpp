#include "experiments/cli/version.h"

#include <fmt/format.h>
#include <torch/headeronly/version.h>

namespace attnlab::cli {

std::string version_text() {
  return fmt::format("attnlab {} (torch {}.{}.{}, compiler {})", ATTNLAB_VERSION,
                     TORCH_VERSION_MAJOR, TORCH_VERSION_MINOR, TORCH_VERSION_PATCH, __VERSION__);
}

}  // namespace attnlab::cli
