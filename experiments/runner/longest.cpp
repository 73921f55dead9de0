#include "experiments/runner/longest.h"

#include <fmt/format.h>

#include <ctime>
#include <iostream>
#include <mutex>
#include <optional>
#include <set>
#include <utility>

#include "experiments/config/emit_yaml.h"
#include "experiments/config/load_yaml.h"
#include "experiments/process/child_process.h"
#include "experiments/runner/interrupt.h"
#include "experiments/runner/progress.h"
#include "experiments/runner/search_state.h"
#include "experiments/runner/sha256.h"
#include "experiments/runner/trial_text.h"
#include "kernels/core/error.h"

namespace attnlab::runner {
namespace {

using analysis::Record;
using analysis::Status;

/// "003_" of "003_flash_longest_forward": what all rows of a search begin with.
std::string id_prefix(const Trial& search) {
  return search.trial_id.substr(0, search.trial_id.find('_') + 1);
}

void check_search(const Trial& search) {
  const config::TrialConfig& config = search.config;
  if (config.seqlen_q != config.seqlen && config.seqlen_k != config.seqlen) {
    throw ConfigError(
        fmt::format("[longest] shape.seqlen_q = {} and shape.seqlen_k = {} are both given, so no "
                    "length can grow. Leave at least one of them out: it follows shape.seqlen.",
                    config.seqlen_q, config.seqlen_k));
  }
  if (!config.measure_time && config.longest.time_ms > 0) {
    throw ConfigError(
        "[longest] longest.time_ms limits a time that measure.time=false does not measure. Add "
        "longest.time_ms=null to search by memory alone, or leave measure=untimed out.");
  }
  // The largest sizes that can come, checked before anything runs.
  probe_of(search, config.longest.max);
}

/// Shorter lengths of the search that have a row and did not fit, which happens where a retry of a
/// longer one goes well: "3072".
std::string shorter_misfits(const Trial& search, const Journal& journal, std::int64_t longest) {
  const bool queries_grow = search.config.seqlen_q == search.config.seqlen;
  std::string text;
  for (const Record& record : journal.records()) {
    if (!record.trial_id.starts_with(id_prefix(search)) || record.task == "longest") continue;
    const std::int64_t seqlen = (queries_grow ? record.seqlen_q : record.seqlen_k).value_or(0);
    if (seqlen >= longest || misfit(record, search.config.longest.time_ms).empty()) continue;
    text += fmt::format("{}{}", text.empty() ? "" : ", ", seqlen);
  }
  return text;
}

/// Whether the search lacks something: see due_searches.
bool is_due_search(const Trial& search, const Journal& journal, const SearchContext& context) {
  SearchState state(search);
  while (const auto probe = state.next()) {
    const JournalEntry* const last = journal.find(probe->trial_id);
    const std::string key =
        context.retry == Retry::kNone ? std::string() : context.resume_key(*probe);
    if (is_due(last, key, context.retry)) return true;
    state.add(last->record);
  }
  return journal.find(search.trial_id) == nullptr;
}

class Searcher {
 public:
  Searcher(const RunFolder& folder, Journal& journal, const SearchContext& context,
           Progress& progress, std::mutex& mutex)
      : folder_(folder), journal_(journal), context_(context), progress_(progress), mutex_(mutex) {}

  void run(const Trial& search) {
    SearchState state(search);
    while (auto probe = state.next()) {
      probe->resume_key = context_.resume_key(*probe);
      const JournalEntry* const last = journal_.find(probe->trial_id);
      state.add(is_due(last, probe->resume_key, context_.retry) ? run_probe(*probe, state)
                                                                : last->record);
    }
    Trial summarized = search;
    summarized.resume_key = context_.resume_key(search);
    TrialResult summary;
    context_.describe(search, summary.record);
    state.summarize(summary.record);
    const std::string shorter = shorter_misfits(search, journal_, state.longest());
    if (!shorter.empty()) {
      summary.record.reason += "; shorter ones did not fit when they were tried: " + shorter;
    }
    summary.record.started_utc = utc_time(std::time(nullptr));
    const std::lock_guard<std::mutex> lock(mutex_);
    store(summarized, summary);
    progress_.start(trial_label(search.config));
    progress_.finish(trial_label(search.config), summary.record.reason);
  }

 private:
  Record run_probe(const Trial& probe, const SearchState& state) {
    const std::string label = trial_label(probe.config);
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      progress_.start(label);
    }
    TrialResult result;
    if (const std::string why = state.hopeless(probe); !why.empty()) {
      context_.describe(probe, result.record);
      result.record.status = Status::kSkipped;
      result.record.reason = why;
      result.record.started_utc = utc_time(std::time(nullptr));
    } else {
      result = context_.run_one(probe);
      if (result.record.status == Status::kOk) note_misfit(probe, result.record);
    }
    const std::lock_guard<std::mutex> lock(mutex_);
    store(probe, result);
    progress_.step(label, outcome_text(result.record));
    return result.record;
  }

  /// The row of a trial that is fine but too slow for the search says so.
  void note_misfit(const Trial& probe, Record& record) const {
    const std::string why = misfit(record, probe.config.longest.time_ms);
    if (why.empty()) return;
    record.reason += (record.reason.empty() ? "" : "; ") + ("does not fit: " + why);
  }

  void store(const Trial& trial, const TrialResult& result) {
    folder_.write_log(trial.trial_id, log_text(trial, result));
    journal_.append({result.record, result.samples_ms, trial.resume_key, result.notes});
  }

  const RunFolder& folder_;
  Journal& journal_;
  const SearchContext& context_;
  Progress& progress_;
  std::mutex& mutex_;
};

}  // namespace

std::vector<Trial> as_searches(std::vector<Trial> trials) {
  std::vector<Trial> searches;
  std::set<std::string> seen;
  const bool first = !trials.empty() && is_search(trials.front().config);
  for (Trial& trial : trials) {
    if (is_search(trial.config) != first) {
      throw ConfigError(
          "[longest] a run is of one kind: kind=measure and kind=longest cannot be swept "
          "together. Start one run for each.");
    }
    if (!is_search(trial.config)) continue;
    if (seen.insert(trial.config_hash).second) searches.push_back(std::move(trial));
  }
  if (searches.empty()) return trials;
  for (std::size_t i = 0; i < searches.size(); ++i) {
    searches[i].trial_id = make_trial_id(i + 1, searches.size(), searches[i].config);
    check_search(searches[i]);
  }
  return searches;
}

Trial probe_of(const Trial& search, std::int64_t seqlen) {
  const bool queries_grow = search.config.seqlen_q == search.config.seqlen;
  const bool keys_grow = search.config.seqlen_k == search.config.seqlen;
  const std::int64_t seqlen_q = queries_grow ? seqlen : search.config.seqlen_q;
  const std::int64_t seqlen_k = keys_grow ? seqlen : search.config.seqlen_k;
  const config::Tree tree = config::parse_yaml(search.config_yaml, "config of " + search.trial_id)
                                .with("kind", config::Tree::of_string("measure"))
                                .with_path("shape.seqlen", config::Tree::of_int(seqlen))
                                .with_path("shape.seqlen_q", config::Tree::of_int(seqlen_q))
                                .with_path("shape.seqlen_k", config::Tree::of_int(seqlen_k));
  Trial probe;
  probe.config = config::parse_trial(tree);
  probe.config_yaml = config::emit_yaml(tree);
  probe.options_json = search.options_json;
  probe.trial_id = id_prefix(search) + trial_name(probe.config);
  probe.config_hash = trial_hash(probe.config, probe.options_json);
  probe.repro = fmt::format("{} kind=measure shape.seqlen={} shape.seqlen_q={} shape.seqlen_k={}",
                            search.repro, seqlen, seqlen_q, seqlen_k);
  return probe;
}

void check_search_run(const std::string& isolation, int jobs) {
  if (jobs > 1) {
    throw ConfigError(fmt::format(
        "[longest] --jobs {}: the probes of a search follow from each other; leave out --jobs.",
        jobs));
  }
  if (isolation == "none") {
    throw ConfigError(
        "[longest] a search goes to the limits, so each probe needs a process of its own; leave "
        "out run.isolation=none. The command in the column repro runs a single probe with it.");
  }
}

std::vector<Trial> due_searches(const std::vector<Trial>& searches, const Journal& journal,
                                const SearchContext& context) {
  std::vector<Trial> due;
  for (const Trial& search : searches) {
    if (is_due_search(search, journal, context)) due.push_back(search);
  }
  return due;
}

RunOutcome run_searches(const std::vector<Trial>& searches, const RunFolder& folder,
                        Journal& journal, const SearchContext& context) {
  Progress progress(std::cerr, searches.size(), stderr_is_interactive());
  InterruptGuard interrupt([&] {
    process::kill_running_children();
    progress.clear_running();
    std::cerr << fmt::format(
                     "interrupted after {} of {} searches; finished probes are in {}\ngo on with: "
                     "{}\n",
                     progress.done(), progress.total(), journal.csv_path().string(),
                     resume_command(folder.path(), context.retry))
              << std::flush;
  });
  Searcher searcher(folder, journal, context, progress, interrupt.mutex());
  for (const Trial& search : searches) searcher.run(search);
  return {journal.records(), journal.csv_path()};
}

}  // namespace attnlab::runner
