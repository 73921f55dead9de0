#include "experiments/cli/compose_command.h"

#include "experiments/cli/config_folders.h"
#include "experiments/cli/config_views.h"
#include "experiments/cli/output.h"

namespace attnlab::cli {

int compose_command(const Arguments& arguments) {
  write_stdout(config_view(arguments, compose_request(arguments)));
  return 0;
}

}  // namespace attnlab::cli
