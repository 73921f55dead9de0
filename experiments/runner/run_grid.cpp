#include "experiments/runner/run_grid.h"

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <iostream>
#include <mutex>
#include <thread>

#include "experiments/process/child_process.h"
#include "experiments/runner/interrupt.h"
#include "experiments/runner/journal.h"
#include "experiments/runner/progress.h"
#include "experiments/runner/resume.h"
#include "experiments/runner/training_files.h"
#include "experiments/runner/trial_text.h"
#include "kernels/core/error.h"

namespace attnlab::runner {
namespace {

/// Runs the trials one after the other in each of several threads, until none is left or storing
/// a row has failed.
class Workers {
 public:
  Workers(const std::vector<Trial>& trials, const RunFolder& folder, Journal& journal,
          const TrialFunction& run_one, Progress& progress, std::mutex& mutex)
      : trials_(trials),
        folder_(folder),
        journal_(journal),
        run_one_(run_one),
        progress_(progress),
        mutex_(mutex) {}

  void work() {
    try {
      while (const Trial* trial = next()) store(*trial, run_one_(*trial));
    } catch (...) {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (!failure_) failure_ = std::current_exception();
    }
  }

  void rethrow() const {
    if (failure_) std::rethrow_exception(failure_);
  }

 private:
  const Trial* next() {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (failure_ || started_ == trials_.size()) return nullptr;
    const Trial& trial = trials_[started_++];
    progress_.start(trial_label(trial.config));
    return &trial;
  }

  void store(const Trial& trial, const TrialResult& result) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (failure_) return;
    folder_.write_log(trial.trial_id, log_text(trial, result));
    if (is_training(trial.config)) write_training_tables(folder_);
    journal_.append({result.record, result.samples_ms, trial.resume_key, result.notes});
    progress_.finish(trial_label(trial.config), outcome_text(result.record));
  }

  const std::vector<Trial>& trials_;
  const RunFolder& folder_;
  Journal& journal_;
  const TrialFunction& run_one_;
  Progress& progress_;
  std::mutex& mutex_;
  std::size_t started_ = 0;
  std::exception_ptr failure_;
};

}  // namespace

RunOutcome run_grid(const std::vector<Trial>& trials, const RunFolder& folder, Journal& journal,
                    const TrialFunction& run_one, int jobs) {
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
  Workers workers(trials, folder, journal, run_one, progress, interrupt.mutex());
  std::vector<std::thread> others;
  for (int job = 1; job < jobs; ++job) others.emplace_back([&] { workers.work(); });
  workers.work();
  for (std::thread& other : others) other.join();
  workers.rethrow();
  return {journal.records(), journal.csv_path()};
}

void check_jobs(const std::vector<Trial>& trials, const std::string& isolation, int jobs) {
  if (jobs <= 1) return;
  if (isolation == "none") {
    throw ConfigError(
        fmt::format("[run] --jobs {} needs a process for each trial; leave out run.isolation=none "
                    "or --jobs.",
                    jobs));
  }
  const auto timed = std::count_if(trials.begin(), trials.end(),
                                   [](const Trial& trial) { return trial.config.measure_time; });
  if (timed == 0) return;
  throw ConfigError(
      fmt::format("[run] --jobs {}: {} of {} trials measure time, which others beside them would "
                  "falsify. Leave out --jobs, or measure memory and errors only: measure=untimed.",
                  jobs, timed, trials.size()));
}

}  // namespace attnlab::runner
