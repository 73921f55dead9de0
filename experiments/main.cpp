// attnlab: what does an attention variant cost, and what does it lose, as the sequence grows?
//
// The whole course of a run is in `run` and `measure` below: compose the config -> build the
// registry -> expand the grid -> freeze its trials -> run every trial -> write and show the
// results.
#include <fmt/format.h>

#include <exception>
#include <iostream>
#include <string>

#include "experiments/cli/arguments.h"
#include "experiments/cli/check_command.h"
#include "experiments/cli/completion.h"
#include "experiments/cli/compose_command.h"
#include "experiments/cli/config_views.h"
#include "experiments/cli/context.h"
#include "experiments/cli/data_command.h"
#include "experiments/cli/list_command.h"
#include "experiments/cli/longest_command.h"
#include "experiments/cli/output.h"
#include "experiments/cli/run_command.h"
#include "experiments/cli/worker_command.h"
#include "experiments/config/resolvers.h"
#include "experiments/config/schema.h"
#include "experiments/runner/frozen_run.h"
#include "experiments/runner/grid.h"
#include "experiments/runner/isolated_trial.h"
#include "experiments/runner/journal.h"
#include "experiments/runner/longest.h"
#include "experiments/runner/order.h"
#include "experiments/runner/resume.h"
#include "experiments/runner/run_folder.h"
#include "experiments/runner/run_grid.h"
#include "experiments/runner/training_files.h"
#include "experiments/runner/trial.h"
#include "kernels/core/error.h"

namespace attnlab {
namespace {

constexpr int kExitOutput = 1;
constexpr int kExitUsage = 2;

/// Runs what is due of a run, new or resumed, and shows all of its rows.
int measure_due(const runner::FrozenRun& run, const runner::RunFolder& folder,
                const cli::LoadedRegistry& loaded, runner::Retry retry, int jobs) {
  std::vector<runner::Trial> trials = run.trials;
  runner::set_resume_keys(trials, loaded.registry, runner::build_id(run.plugins));
  runner::set_folders(trials, folder);
  runner::Journal journal(folder.path(), runner::trial_ids(trials));
  const runner::ResumePlan plan = runner::plan_resume(trials, journal, retry);
  cli::print_plan(plan, trials.size(), folder.path());
  if (plan.due.empty()) return cli::report_finished(journal, folder.path());

  const runner::RunIdentity identity{run.run_id, measure::read_environment()};
  folder.write_environment(
      cli::environment_text(identity.environment, run.overrides, loaded.plugins));
  const config::RunConfig config = runner::run_config(run);
  const bool in_process = config.isolation == "none";
  const std::vector<runner::Trial> due = runner::ordered(plan.due, config.order, config.seed);
  runner::IsolationContext isolation{run.plugins};
  isolation.on_progress = [](const runner::Trial& trial, const std::string& line) {
    std::cerr << fmt::format("  {}: {}\n", runner::trial_label(trial.config), line) << std::flush;
  };
  const runner::RunOutcome outcome = runner::run_grid(
      due, folder, journal,
      [&](const runner::Trial& trial) {
        return in_process ? runner::run_trial(trial, loaded.registry, identity)
                          : runner::run_isolated_trial(trial, isolation, identity);
      },
      jobs);
  return cli::report_outcome(outcome, folder.path());
}

/// The same for a run that searches the longest sequences.
int search_due(const runner::FrozenRun& run, const runner::RunFolder& folder,
               const cli::LoadedRegistry& loaded, runner::Retry retry) {
  const std::string build = runner::build_id(run.plugins);
  const runner::IsolationContext isolation{run.plugins};
  runner::RunIdentity identity{run.run_id, {}};
  const runner::SearchContext context{
      [&](const runner::Trial& trial) {
        return runner::run_isolated_trial(trial, isolation, identity);
      },
      [&](const runner::Trial& trial) { return runner::resume_key(trial, loaded.registry, build); },
      [&](const runner::Trial& trial, analysis::Record& record) {
        runner::describe(trial, identity, record);
      },
      retry};
  runner::Journal journal(folder.path());
  const std::vector<runner::Trial> due = runner::due_searches(run.trials, journal, context);
  if (due.empty()) {
    return cli::report_finished_searches(journal, run.trials.size(), folder.path());
  }
  identity.environment = measure::read_environment();
  folder.write_environment(
      cli::environment_text(identity.environment, run.overrides, loaded.plugins));
  const config::RunConfig config = runner::run_config(run);
  return cli::report_searches(runner::run_searches(runner::ordered(due, config.order, config.seed),
                                                   folder, journal, context),
                              folder.path());
}

/// Both; where the folder cannot be written, the message says how to go on.
int measure(const runner::FrozenRun& run, const runner::RunFolder& folder,
            const cli::LoadedRegistry& loaded, runner::Retry retry, int jobs) {
  try {
    return runner::is_search(run.trials.front().config)
               ? search_due(run, folder, loaded, retry)
               : measure_due(run, folder, loaded, retry, jobs);
  } catch (const OutputError& error) {
    throw OutputError(std::string(error.what()) +
                      "\ngo on with: " + runner::resume_command(folder.path(), retry));
  }
}

/// The trials of the words of the command line, with the configs as they are now.
std::vector<runner::Trial> compose_trials(const cli::Arguments& arguments,
                                          const std::vector<config::Job>& jobs,
                                          const Registry& registry) {
  return runner::as_searches(runner::expand_grid(
      jobs, registry, {arguments.plugins, arguments.config_dir, arguments.config_name}));
}

/// Throws ConfigError where these trials cannot be run like this.
void check_run(const std::vector<runner::Trial>& trials, const std::string& isolation, int jobs) {
  if (runner::is_search(trials.front().config)) {
    runner::check_search_run(isolation, jobs);
  } else {
    runner::check_jobs(trials, isolation, jobs);
  }
}

/// --cfg, --package, --info and --explain-key of `run`.
int show_config(const cli::Arguments& arguments) {
  config::refuse_secret_variables();
  cli::write_stdout(cli::config_view(arguments, cli::run_request(arguments)));
  return 0;
}

int run(const cli::Arguments& arguments) {
  if (arguments.asks_for_config()) return show_config(arguments);
  const std::vector<config::Job> jobs = cli::compose_jobs(arguments);
  const std::vector<std::string> plugins = cli::plugin_paths(arguments, jobs);
  const cli::LoadedRegistry loaded = cli::load_registry(plugins);
  const std::vector<runner::Trial> trials = compose_trials(arguments, jobs, loaded.registry);
  if (arguments.dry_run) {
    return runner::is_search(trials.front().config) ? cli::print_searches(trials)
                                                    : cli::print_trials(trials);
  }

  const config::RunConfig run_config = config::parse_run(jobs.front().config);
  check_run(trials, run_config.isolation, arguments.jobs);
  const runner::RunFolder folder(run_config.dir, run_config.experiment);
  folder.write_hydra(cli::config_yaml(jobs), arguments.words);
  const runner::FrozenRun frozen{folder.run_id(), plugins, arguments.words, trials};
  runner::write_frozen_run(folder.path(), frozen);
  return measure(frozen, folder, loaded, runner::Retry::kNone, arguments.jobs);
}

int resume(const cli::Arguments& arguments) {
  runner::FrozenRun frozen = runner::read_frozen_run(arguments.resume);
  const cli::LoadedRegistry loaded = cli::load_registry(frozen.plugins);
  runner::settle(frozen.trials, loaded.registry);
  if (cli::names_trials(arguments)) {
    const std::vector<config::Job> jobs = cli::compose_jobs(arguments);
    cli::check_same_folder(config::parse_run(jobs.front().config).dir, arguments.resume);
    runner::check_same_trials(frozen.trials, compose_trials(arguments, jobs, loaded.registry));
  }
  runner::check_devices(frozen.trials);
  check_run(frozen.trials, runner::run_config(frozen).isolation, arguments.jobs);
  const auto folder = runner::RunFolder::reopen(arguments.resume, frozen.run_id);
  return measure(frozen, folder, loaded, runner::parse_retry(arguments.retry), arguments.jobs);
}

int dispatch(const cli::Arguments& arguments) {
  switch (arguments.command) {
    case cli::Command::kRun: return arguments.resume.empty() ? run(arguments) : resume(arguments);
    case cli::Command::kCompose: return cli::compose_command(arguments);
    case cli::Command::kList: return cli::list_command(arguments);
    case cli::Command::kCheck: return cli::check_command(arguments);
    case cli::Command::kData: return cli::data_command(arguments);
    case cli::Command::kCompletion: return cli::completion_command(arguments);
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
