#include "experiments/cli/compose_command.h"

#include "experiments/cli/config_views.h"
#include "experiments/cli/context.h"
#include "experiments/cli/output.h"
#include "experiments/config/compose.h"

namespace attnlab::cli {
namespace {

config::ComposeRequest request_of(const Arguments& arguments) {
  config::ComposeRequest request;
  // A tree of the user's own stands for itself; without one, it is the project's.
  if (arguments.config_dir.empty()) {
    request.config_dirs = config_dirs(arguments);
  } else {
    request.config_dirs = {config_dirs(arguments).front()};
  }
  if (!arguments.config_name.empty()) request.config_name = arguments.config_name;
  request.overrides = arguments.words;
  request.schema_free = true;
  return request;
}

}  // namespace

int compose_command(const Arguments& arguments) {
  const config::ComposeRequest request = request_of(arguments);
  const bool asks_for_view = !arguments.info.empty() || !arguments.explain_key.empty();
  write_stdout(asks_for_view ? config_view(arguments, request)
                             : config_documents(config::compose(request)));
  return 0;
}

}  // namespace attnlab::cli
