#include "experiments/runner/resume.h"

#include <fmt/format.h>
#include <link.h>

#include <algorithm>
#include <array>
#include <set>
#include <string_view>
#include <utility>

#include "experiments/process/files.h"
#include "experiments/runner/sha256.h"
#include "kernels/core/error.h"

namespace attnlab::runner {
namespace {

using analysis::Status;

constexpr std::array<std::pair<Retry, std::string_view>, 4> kRetryNames{
    {{Retry::kFailed, "failed"},
     {Retry::kOom, "oom"},
     {Retry::kTimeout, "timeout"},
     {Retry::kAll, "all"}}};

/// The retry that takes a status; kNone where running again cannot change it.
Retry retry_of(Status status) {
  switch (status) {
    case Status::kFailed:
    case Status::kCrashed:
    case Status::kWrong: return Retry::kFailed;
    case Status::kOom: return Retry::kOom;
    case Status::kTimeout: return Retry::kTimeout;
    case Status::kOk:
    case Status::kUnsupported:
    case Status::kSkipped: break;
  }
  return Retry::kNone;
}

/// Our own shared libraries in this process.
std::set<std::string> loaded_libraries() {
  std::set<std::string> paths;
  ::dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* data) {
        const std::filesystem::path path(info->dlpi_name);
        if (path.filename().string().starts_with("libattnlab")) {
          static_cast<std::set<std::string>*>(data)->insert(path.string());
        }
        return 0;
      },
      &paths);
  return paths;
}

}  // namespace

Retry parse_retry(const std::string& name) {
  if (name.empty()) return Retry::kNone;
  for (const auto& [retry, known] : kRetryNames) {
    if (name == known) return retry;
  }
  throw ConfigError(
      fmt::format("[run] --retry '{}' names no rows. Known: failed (also crashed and wrong), oom, "
                  "timeout, all.",
                  name));
}

std::string build_id(const std::vector<std::string>& plugins) {
  std::string digests = sha256_hex(process::read_file("/proc/self/exe"));
  for (const std::string& path : loaded_libraries())
    digests += sha256_hex(process::read_file(path));
  std::set<std::string> plugin_digests;
  for (const std::string& path : plugins)
    plugin_digests.insert(sha256_hex(process::read_file(path)));
  for (const std::string& digest : plugin_digests) digests += digest;
  return sha256_hex(digests);
}

std::string resume_key(const Trial& trial, const Registry& registry, const std::string& build) {
  const int version =
      registry.make(trial.config.variant, trial.config.variant_options)->info().version;
  return sha256_hex(
      fmt::format("{}\n{}\n{}", canonical_trial(trial.config, trial.options_json), version, build));
}

void set_resume_keys(std::vector<Trial>& trials, const Registry& registry,
                     const std::string& build) {
  for (Trial& trial : trials) trial.resume_key = resume_key(trial, registry, build);
}

bool is_due(const JournalEntry* last, const std::string& resume_key, Retry retry) {
  if (last == nullptr) return true;
  const Status status = last->record.status.value_or(Status::kFailed);
  if (retry == Retry::kAll) return status != Status::kOk || last->resume_key != resume_key;
  return retry != Retry::kNone && retry_of(status) == retry;
}

ResumePlan plan_resume(const std::vector<Trial>& trials, const Journal& journal, Retry retry) {
  ResumePlan plan;
  for (const Trial& trial : trials) {
    const JournalEntry* const last = journal.find(trial.trial_id);
    if (is_due(last, trial.resume_key, retry)) {
      plan.due.push_back(trial);
    } else if (last->resume_key != trial.resume_key) {
      ++plan.kept_of_another_build;
    }
  }
  return plan;
}

std::string resume_command(const std::filesystem::path& folder, Retry retry) {
  std::string command = "./attnlab run --resume " + shell_quote(folder.string());
  for (const auto& [known, name] : kRetryNames) {
    if (known == retry) command += fmt::format(" --retry {}", name);
  }
  return command;
}

Retry suggested_retry(const std::vector<analysis::Record>& records) {
  Retry suggested = Retry::kNone;
  for (const analysis::Record& record : records) {
    const Retry retry = retry_of(record.status.value_or(Status::kFailed));
    if (retry == Retry::kNone || retry == suggested) continue;
    suggested = suggested == Retry::kNone ? retry : Retry::kAll;
  }
  return suggested;
}

}  // namespace attnlab::runner
