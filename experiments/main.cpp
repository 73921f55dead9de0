// attnlab: what does an attention variant cost, and what does it lose, as the sequence grows?
//
// The whole course of a run is in `run` below: compose the config -> build the registry -> expand
// the grid -> run every trial -> write and show the results.
#include <exception>
#include <iostream>
#include <string>

#include "experiments/cli/arguments.h"
#include "experiments/cli/check_command.h"
#include "experiments/cli/compose_command.h"
#include "experiments/cli/context.h"
#include "experiments/cli/list_command.h"
#include "experiments/cli/output.h"
#include "experiments/cli/run_command.h"
#include "experiments/cli/worker_command.h"
#include "experiments/config/schema.h"
#include "experiments/runner/grid.h"
#include "experiments/runner/isolated_trial.h"
#include "experiments/runner/run_folder.h"
#include "experiments/runner/run_grid.h"
#include "experiments/runner/trial.h"
#include "kernels/core/error.h"

namespace attnlab {
namespace {

constexpr int kExitOutput = 1;
constexpr int kExitUsage = 2;

int run(const cli::Arguments& arguments) {
  const std::vector<config::Job> jobs = cli::compose_jobs(arguments);
  if (arguments.print_config) return cli::print_config(jobs);

  const auto [registry, plugins] = cli::load_registry(cli::plugin_paths(arguments, jobs));
  const std::vector<runner::Trial> trials = runner::expand_grid(
      jobs, registry, {arguments.plugins, arguments.config_dir, arguments.config_name});
  if (arguments.dry_run) return cli::print_trials(trials);

  const config::RunConfig run_config = config::parse_run(jobs.front().config);
  const runner::RunFolder folder(run_config.dir, run_config.experiment);
  folder.write_hydra(cli::config_yaml(jobs), arguments.words);
  const runner::RunIdentity identity{folder.run_id(), measure::read_environment()};
  folder.write_environment(cli::environment_text(identity.environment, plugins));
  const runner::IsolationContext isolation{cli::plugin_paths(arguments, jobs)};
  const runner::RunOutcome outcome =
      runner::run_grid(trials, folder, [&, &variants = registry](const runner::Trial& trial) {
        return run_config.isolation == "none"
                   ? runner::run_trial(trial, variants, identity)
                   : runner::run_isolated_trial(trial, isolation, identity);
      });
  return cli::report_outcome(outcome);
}

int dispatch(const cli::Arguments& arguments) {
  switch (arguments.command) {
    case cli::Command::kRun: return run(arguments);
    case cli::Command::kCompose: return cli::compose_command(arguments);
    case cli::Command::kList: return cli::list_command(arguments);
    case cli::Command::kCheck: return cli::check_command(arguments);
    case cli::Command::kWorker: return cli::worker_command(arguments);
    case cli::Command::kText: break;
  }
  cli::write_stdout(arguments.text);
  return 0;
}

int fail(const std::string& message, int exit_code) {
  std::cerr << message << '\n';
  return exit_code;
}

}  // namespace
}  // namespace attnlab

int main(int argc, char** argv) {
  using namespace attnlab;
  try {
    cli::prepare_standard_streams();
    return dispatch(cli::parse_arguments(argc, argv));
  } catch (const OutputError& error) {
    return fail(error.what(), kExitOutput);
  } catch (const Error& error) {
    return fail(error.what(), kExitUsage);
  } catch (const std::exception& error) {
    // Messages of Torch carry a stack trace from the second line on.
    const std::string message(error.what());
    return fail("[attnlab] internal error: " + message.substr(0, message.find('\n')), kExitOutput);
  }
}
