#include "experiments/cli/longest_command.h"

#include <fmt/format.h>

#include <algorithm>
#include <iostream>

#include "analysis/longest_table.h"
#include "experiments/cli/output.h"
#include "experiments/runner/resume.h"

namespace attnlab::cli {
namespace {

using analysis::Record;
using analysis::Status;

constexpr int kExitSomeFailed = 3;

/// Neither fits nor is beyond a limit.
bool is_broken(const Record& record) {
  return record.status == Status::kFailed || record.status == Status::kCrashed ||
         record.status == Status::kWrong;
}

bool has_no_length(const Record& record) {
  return record.task == "longest" && record.status != Status::kOk;
}

std::string problems(const std::vector<Record>& records) {
  std::string text;
  for (const Record& record : records) {
    if (!has_no_length(record) && !is_broken(record)) continue;
    text += fmt::format("{}: {}: {}\n", record.trial_id,
                        analysis::status_name(record.status.value()), record.reason);
  }
  return text;
}

std::string retry_line(const std::vector<Record>& records, const std::filesystem::path& folder) {
  if (std::none_of(records.begin(), records.end(), is_broken)) return {};
  return fmt::format("run what failed again with: {}\n",
                     runner::resume_command(folder, runner::Retry::kFailed));
}

}  // namespace

int print_searches(const std::vector<runner::Trial>& searches) {
  std::string text;
  for (const runner::Trial& search : searches) {
    const config::TrialConfig& c = search.config;
    const auto length = [&](std::int64_t seqlen) {
      return seqlen == c.seqlen ? std::string("?") : std::to_string(seqlen);
    };
    text += fmt::format(
        "{} variant={} options={} seqlen_q={} seqlen_k={} direction={} dtype={} device={} batch={} "
        "heads={} kv_heads={} head_dim={} causal={} inputs={} seed={} start={} max={} "
        "config_hash={}"
        "\n",
        search.trial_id, c.variant, search.options_json, length(c.seqlen_q), length(c.seqlen_k),
        c.direction, c.dtype, c.device, c.batch, c.heads, c.kv_heads, c.head_dim, c.causal,
        c.inputs, c.seed, c.longest.start, c.longest.max, search.config_hash);
  }
  write_stdout(text);
  std::cerr << fmt::format("{} searches\n", searches.size());
  return 0;
}

int report_searches(const runner::RunOutcome& outcome, const std::filesystem::path& folder) {
  const std::string text = problems(outcome.records);
  std::cerr << text << std::flush;
  write_stdout(analysis::longest_table(outcome.records) +
               fmt::format("results: {}\n", outcome.csv_path.string()));
  std::cerr << retry_line(outcome.records, folder) << std::flush;
  return text.empty() ? 0 : kExitSomeFailed;
}

int report_finished_searches(const runner::Journal& journal, std::size_t searches,
                             const std::filesystem::path& folder) {
  const std::vector<Record> records = journal.records();
  std::cerr << fmt::format("nothing to do: all {} searches of {} have ended\n", searches,
                           folder.string())
            << problems(records) << retry_line(records, folder) << std::flush;
  write_stdout(fmt::format("results: {}\n", journal.csv_path().string()));
  return 0;
}

}  // namespace attnlab::cli
