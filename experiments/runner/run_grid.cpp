#include "experiments/runner/run_grid.h"

#include <fmt/format.h>

#include <iostream>
#include <mutex>

#include "analysis/format.h"
#include "experiments/process/child_process.h"
#include "experiments/runner/interrupt.h"
#include "experiments/runner/journal.h"
#include "experiments/runner/progress.h"
#include "experiments/runner/resume.h"

namespace attnlab::runner {
namespace {

/// "4.31 ms  2.1 MiB", or "oom: would need 34 GiB".
std::string outcome_text(const analysis::Record& record) {
  if (record.status != analysis::Status::kOk) {
    const std::string status(analysis::status_name(record.status.value()));
    return record.reason.empty() ? status : status + ": " + record.reason;
  }
  std::string text =
      record.time_median_ms ? analysis::format_time_ms(*record.time_median_ms) : "ok";
  if (record.peak_bytes) text += "  " + analysis::format_bytes(*record.peak_bytes);
  if (!record.reason.empty()) text += "  " + record.reason;
  return text;
}

std::string log_text(const Trial& trial, const TrialResult& result) {
  const analysis::Record& record = result.record;
  std::string text =
      fmt::format("trial    {}\nstarted  {}\nconfig   {}\n", trial.trial_id, record.started_utc,
                  canonical_trial(trial.config, trial.options_json));
  text += fmt::format("kernel   {}\nresult   {}\n", record.kernel, outcome_text(record));
  if (record.duration_s) text += fmt::format("duration {:.3f} s\n", *record.duration_s);
  text += fmt::format("rerun    {}\n", trial.repro);
  if (!result.notes.empty()) text += fmt::format("notes    {}\n", result.notes);
  if (!result.output.empty()) text += "\noutput of the trial:\n" + result.output;
  return text;
}

}  // namespace

RunOutcome run_grid(const std::vector<Trial>& trials, const RunFolder& folder, Journal& journal,
                    const TrialFunction& run_one) {
  Progress progress(std::cerr, trials.size(), stderr_is_interactive());
  InterruptGuard interrupt([&] {
    process::kill_running_children();
    progress.clear_running();
    std::cerr << fmt::format(
                     "interrupted after {} of {} trials; their rows are in {}\ngo on with: {}\n",
                     progress.done(), progress.total(), journal.csv_path().string(),
                     resume_command(folder.path()))
              << std::flush;
  });
  for (const Trial& trial : trials) {
    {
      const std::lock_guard<std::mutex> lock(interrupt.mutex());
      progress.start(trial_label(trial.config));
    }
    const TrialResult result = run_one(trial);
    const std::lock_guard<std::mutex> lock(interrupt.mutex());
    folder.write_log(trial.trial_id, log_text(trial, result));
    journal.append({result.record, result.samples_ms, trial.resume_key, result.notes});
    progress.finish(outcome_text(result.record));
  }
  return {journal.records(), journal.csv_path()};
}

}  // namespace attnlab::runner
