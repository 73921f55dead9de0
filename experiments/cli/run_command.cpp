#include "experiments/cli/run_command.h"

#include <fmt/format.h>

#include <algorithm>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "analysis/csv.h"
#include "analysis/evaluations_table.h"
#include "analysis/summary.h"
#include "experiments/cli/output.h"
#include "experiments/config/emit_yaml.h"
#include "kernels/core/error.h"

namespace attnlab::cli {
namespace {

constexpr int kExitSomeFailed = 3;

/// The value of a swept key in one job, typed as in its config; for a group the option's name.
config::Tree sweep_value(const config::Job& job, const std::string& key, const std::string& text) {
  const config::Tree* node = job.config.find_path(key);
  return node == nullptr || node->is_map() ? config::Tree::of_string(text) : *node;
}

/// One entry per swept key with its values in order, each once.
config::Tree sweep_tree(const std::vector<config::Job>& jobs) {
  std::vector<config::Tree::Entry> entries;
  for (const auto& first : jobs.front().sweep_values) {
    std::vector<config::Tree> values;
    std::set<std::string> seen;
    for (const config::Job& job : jobs) {
      for (const auto& [key, text] : job.sweep_values) {
        if (key == first.first && seen.insert(text).second) {
          values.push_back(sweep_value(job, key, text));
        }
      }
    }
    entries.emplace_back(first.first, config::Tree::of_list(std::move(values)));
  }
  return config::Tree::of_map(std::move(entries));
}

/// The statuses other than ok: how many, and the first reason of each.
std::string failure_summary(const std::vector<analysis::Record>& records) {
  struct Failures {
    std::size_t count = 0;
    const analysis::Record* first = nullptr;
  };
  std::map<analysis::Status, Failures> by_status;
  for (const analysis::Record& record : records) {
    if (record.status == analysis::Status::kOk) continue;
    Failures& failures = by_status[record.status.value()];
    if (failures.count++ == 0) failures.first = &record;
  }
  std::string text;
  for (const auto& [status, failures] : by_status) {
    text += fmt::format("{} of {} trials: {}; first {}: {}\n", failures.count, records.size(),
                        analysis::status_name(status), failures.first->trial_id,
                        failures.first->reason);
  }
  return text;
}

/// How many rows are noisy, "" for none.
std::string noise_line(const std::vector<analysis::Record>& records) {
  const auto noisy = std::count_if(records.begin(), records.end(), [](const auto& record) {
    return record.status == analysis::Status::kOk && record.reason.starts_with("noisy: ");
  });
  if (noisy == 0) return {};
  return fmt::format("{} of {} rows are noisy; the column reason says why\n", noisy,
                     records.size());
}

/// The command that runs again what did not pass; "" where that cannot help.
std::string retry_line(const std::vector<analysis::Record>& records,
                       const std::filesystem::path& folder) {
  const runner::Retry retry = runner::suggested_retry(records);
  if (retry == runner::Retry::kNone) return {};
  return fmt::format("run them again with: {}\n", runner::resume_command(folder, retry));
}

/// What trainings reached, beside what is reached without learning; "" where nothing was learned.
std::string learned_text(const std::vector<analysis::Record>& records,
                         const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / "evaluations.csv";
  if (!std::filesystem::exists(path)) return {};
  const std::string table = analysis::evaluations_table(records, analysis::read_csv(path));
  return table.empty() ? "" : "\n" + table;
}

}  // namespace

int print_trials(const std::vector<runner::Trial>& trials) {
  std::string text;
  for (const runner::Trial& trial : trials) {
    const config::TrialConfig& c = trial.config;
    text += fmt::format(
        "{} variant={} options={} seqlen_q={} seqlen_k={} direction={} dtype={} device={} batch={} "
        "heads={} kv_heads={} head_dim={} causal={} inputs={} seed={} config_hash={}\n",
        trial.trial_id, c.variant, trial.options_json, c.seqlen_q, c.seqlen_k, c.direction, c.dtype,
        c.device, c.batch, c.heads, c.kv_heads, c.head_dim, c.causal, c.inputs, c.seed,
        trial.config_hash);
  }
  write_stdout(text);
  std::cerr << fmt::format("{} trials\n", trials.size());
  return 0;
}

std::string config_yaml(const std::vector<config::Job>& jobs) {
  config::Tree tree = jobs.front().config;
  if (jobs.size() > 1) tree = tree.with("sweep", sweep_tree(jobs));
  return config::emit_yaml(tree);
}

std::string environment_text(const measure::Environment& environment,
                             const std::vector<std::string>& command_line,
                             const std::vector<LoadedPlugin>& plugins) {
  nlohmann::ordered_json object = measure::to_json(environment);
  object["command_line"] = command_line;
  object["plugins"] = nlohmann::ordered_json::array();
  for (const LoadedPlugin& plugin : plugins) {
    object["plugins"].push_back({{"name", plugin.name}, {"path", plugin.path.string()}});
  }
  return object.dump(2) + "\n";
}

bool names_trials(const Arguments& arguments) {
  return !arguments.words.empty() || !arguments.config_dir.empty() ||
         !arguments.config_name.empty();
}

void check_same_folder(const std::string& run_dir, const std::string& resumed) {
  std::error_code ignored;
  if (run_dir.empty() || std::filesystem::equivalent(run_dir, resumed, ignored)) return;
  throw ConfigError(fmt::format(
      "[run] run.dir is {}, --resume names {}. A run stays in its folder: leave run.dir "
      "out.",
      run_dir, resumed));
}

void print_plan(const runner::ResumePlan& plan, std::size_t trials,
                const std::filesystem::path& folder) {
  const std::size_t kept = trials - plan.due.size();
  if (kept > 0 && !plan.due.empty()) {
    std::cerr << fmt::format("{} of {} trials have their rows, {} to run\n", kept, trials,
                             plan.due.size());
  }
  if (plan.kept_of_another_build > 0) {
    std::cerr << fmt::format(
        "rows that another build of attnlab, or other files of its plugins, measured and that are "
        "kept: {}. To measure them again, and whatever did not pass: {}\n",
        plan.kept_of_another_build, runner::resume_command(folder, runner::Retry::kAll));
  }
  std::cerr << std::flush;
}

int report_outcome(const runner::RunOutcome& outcome, const std::filesystem::path& folder) {
  const std::string failures = failure_summary(outcome.records);
  std::cerr << failures << std::flush;
  write_stdout(analysis::summary_table(outcome.records) + learned_text(outcome.records, folder) +
               fmt::format("results: {}\n", outcome.csv_path.string()));
  std::cerr << noise_line(outcome.records) << retry_line(outcome.records, folder) << std::flush;
  return failures.empty() ? 0 : kExitSomeFailed;
}

int report_finished(const runner::Journal& journal, const std::filesystem::path& folder) {
  const std::vector<analysis::Record> records = journal.records();
  std::cerr << fmt::format("nothing to do: all {} trials of {} have their rows\n", records.size(),
                           folder.string())
            << failure_summary(records) << retry_line(records, folder) << std::flush;
  write_stdout(fmt::format("results: {}\n", journal.csv_path().string()));
  return 0;
}

}  // namespace attnlab::cli
