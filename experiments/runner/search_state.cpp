#include "experiments/runner/search_state.h"

#include <fmt/format.h>

#include "analysis/format.h"
#include "experiments/runner/longest.h"

namespace attnlab::runner {

using analysis::Record;
using analysis::Status;

std::string misfit(const Record& record, double time_limit_ms) {
  const Status status = record.status.value_or(Status::kFailed);
  if (status != Status::kOk) {
    const std::string name(analysis::status_name(status));
    return record.reason.empty() ? name : name + ": " + record.reason;
  }
  if (time_limit_ms <= 0) return {};
  if (!record.time_median_ms) return "no time was measured, longest.time_ms cannot be checked";
  if (*record.time_median_ms <= time_limit_ms) return {};
  return fmt::format("a run takes {}, longest.time_ms allows {}",
                     analysis::format_time_ms(*record.time_median_ms),
                     analysis::format_time_ms(time_limit_ms));
}

std::optional<Trial> SearchState::next() const {
  const auto seqlen = lengths_.next();
  if (!seqlen) return std::nullopt;
  return probe_of(search_, *seqlen);
}

std::string SearchState::hopeless(const Trial& probe) const {
  const auto beyond = [&](const Growth& growth, double limit) {
    const auto expected = growth.at(probe.config.seqlen);
    return limit > 0 && expected && *expected > kHopeless * limit;
  };
  const double run_ms = search_.config.longest.time_ms;
  if (beyond(time_ms_, run_ms)) {
    return fmt::format(
        "not run: by the growth of shorter ones a run would take about {}, longest.time_ms allows "
        "{}",
        analysis::format_time_ms(*time_ms_.at(probe.config.seqlen)),
        analysis::format_time_ms(run_ms));
  }
  const double trial_s = search_.config.time_limit_s;
  if (beyond(duration_s_, trial_s)) {
    return fmt::format(
        "not run: by the growth of shorter ones it would take about {:.3g} s, limits.time_s is "
        "{:.3g}",
        *duration_s_.at(probe.config.seqlen), trial_s);
  }
  return {};
}

void SearchState::add(const Record& record) {
  const auto seqlen = lengths_.next().value();
  const bool fits = misfit(record, search_.config.longest.time_ms).empty();
  lengths_.add(seqlen, fits);
  total_s_ += record.duration_s.value_or(0);
  if (!fits) {
    bound_ = record;
    return;
  }
  time_ms_.add(seqlen, record.time_median_ms.value_or(0));
  duration_s_.add(seqlen, record.duration_s.value_or(0));
}

void SearchState::summarize(Record& summary) const {
  const config::LongestConfig& range = search_.config.longest;
  const std::int64_t longest = lengths_.longest();
  const std::string why = misfit(bound_, range.time_ms);
  summary.task = "longest";
  summary.metric = "longest_seqlen";
  summary.duration_s = total_s_;
  if (longest == 0) {
    // A run that is too slow is an ok trial; the search has no length all the same.
    summary.status = bound_.status == Status::kOk ? Status::kTimeout : bound_.status;
    summary.reason = fmt::format("no length fits; {}: {}", lengths_.bound().value(), why);
    summary.seqlen_q.reset();
    summary.seqlen_k.reset();
    return;
  }
  const Trial probe = probe_of(search_, longest);
  summary.status = Status::kOk;
  summary.seqlen_q = probe.config.seqlen_q;
  summary.seqlen_k = probe.config.seqlen_k;
  summary.metric_value = static_cast<double>(longest);
  summary.reason = lengths_.bound()
                       ? fmt::format("{} fits; {}: {}", longest, *lengths_.bound(), why)
                       : fmt::format("{} fits, which is longest.max", longest);
}

}  // namespace attnlab::runner
