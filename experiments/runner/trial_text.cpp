#include "experiments/runner/trial_text.h"

#include <fmt/format.h>

#include "analysis/format.h"

namespace attnlab::runner {

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

}  // namespace attnlab::runner
