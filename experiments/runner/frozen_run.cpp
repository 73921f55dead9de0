#include "experiments/runner/frozen_run.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "experiments/config/load_yaml.h"
#include "experiments/process/files.h"
#include "experiments/runner/journal_lines.h"
#include "kernels/core/error.h"

namespace attnlab::runner {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kFormat = 1;
const char* const kFileName = "jobs.jsonl";

Json trial_to_json(const Trial& trial) {
  return {{"trial_id", trial.trial_id},
          {"config_hash", trial.config_hash},
          {"options", trial.options_json},
          {"repro", trial.repro},
          {"config", trial.config_yaml}};
}

Trial trial_from_json(const Json& object, const std::string& place) {
  Trial trial;
  trial.trial_id = object.at("trial_id").get<std::string>();
  trial.config_hash = object.at("config_hash").get<std::string>();
  trial.options_json = object.at("options").get<std::string>();
  trial.repro = object.at("repro").get<std::string>();
  trial.config_yaml = object.at("config").get<std::string>();
  trial.config = config::parse_trial(config::parse_yaml(trial.config_yaml, place));
  return trial;
}

/// "seed was 0 and is 3, threads was 1 and is 2": what differs of two trials, the first few.
std::string difference(const Trial& frozen, const Trial& composed) {
  constexpr int kMost = 4;
  if (frozen.config_hash == composed.config_hash) {
    return fmt::format("was {} and is {}", frozen.trial_id, composed.trial_id);
  }
  const auto before = Json::parse(canonical_trial(frozen.config, frozen.options_json));
  const auto now = Json::parse(canonical_trial(composed.config, composed.options_json));
  std::string text;
  int count = 0;
  for (const auto& [key, value] : now.items()) {
    const Json old = before.value(key, Json());
    if (old == value || ++count > kMost) continue;
    text +=
        fmt::format("{}{} was {} and is {}", count == 1 ? "" : ", ", key, old.dump(), value.dump());
  }
  return count > kMost ? text + ", ..." : text;
}

class Reader {
 public:
  explicit Reader(const std::filesystem::path& folder)
      : folder_(folder), path_(folder / kFileName) {
    if (!std::filesystem::is_directory(folder)) {
      refuse("there is no such folder. Name the folder of a run, e.g. outputs/latest");
    }
    if (!std::filesystem::exists(path_)) {
      refuse("it holds no jobs.jsonl, so no run was launched there; start one with run.dir=" +
             folder.string());
    }
    text_ = process::read_file(path_);
    rest_ = text_;
  }

  FrozenRun read() {
    FrozenRun run;
    try {
      const Json head = next();
      if (const int format = head.at("format").get<int>(); format != kFormat) {
        refuse(
            fmt::format("{} has format {}, this program reads {}; resume it with the program "
                        "that launched it",
                        kFileName, format, kFormat));
      }
      run.run_id = head.at("run_id").get<std::string>();
      run.plugins = head.at("plugins").get<std::vector<std::string>>();
      run.overrides = head.at("overrides").get<std::vector<std::string>>();
      const auto count = head.at("trials").get<std::size_t>();
      if (count == 0) refuse_line("a run without trials");
      while (run.trials.size() < count) {
        const Json object = next();
        run.trials.push_back(trial_from_json(object, fmt::format("{}:{}", path_.string(), line_)));
      }
    } catch (const nlohmann::json::exception& error) {
      refuse_line(error.what());
    }
    if (!rest_.empty()) refuse_line("more lines than trials");
    return run;
  }

 private:
  [[noreturn]] void refuse(const std::string& why) const {
    throw ConfigError(fmt::format("[run] cannot resume {}: {}.", folder_.string(), why));
  }

  [[noreturn]] void refuse_line(const std::string& problem) const {
    refuse(fmt::format(
        "{}:{} is damaged ({}), so its trials are not known any more. Rows that are there stay in "
        "results.jsonl; launch the run anew in another folder",
        kFileName, line_, problem));
  }

  Json next() {
    ++line_;
    const std::size_t end = rest_.find('\n');
    if (end == std::string_view::npos) refuse_line("the line is not whole");
    std::string problem;
    const auto object = open_line(rest_.substr(0, end), problem);
    if (!object) refuse_line(problem);
    rest_.remove_prefix(end + 1);
    return *object;
  }

  std::filesystem::path folder_;
  std::filesystem::path path_;
  std::string text_;
  std::string_view rest_;
  std::size_t line_ = 0;
};

}  // namespace

void write_frozen_run(const std::filesystem::path& folder, const FrozenRun& run) {
  std::string text = seal_line({{"format", kFormat},
                                {"run_id", run.run_id},
                                {"plugins", run.plugins},
                                {"overrides", run.overrides},
                                {"trials", run.trials.size()}});
  for (const Trial& trial : run.trials) text += seal_line(trial_to_json(trial));
  process::write_file(folder / kFileName, text);
}

FrozenRun read_frozen_run(const std::filesystem::path& folder) { return Reader(folder).read(); }

config::RunConfig run_config(const FrozenRun& run) {
  const Trial& first = run.trials.front();
  return config::parse_run(config::parse_yaml(first.config_yaml, "config of " + first.trial_id));
}

void check_same_trials(const std::vector<Trial>& frozen, const std::vector<Trial>& composed) {
  const auto refuse = [](const std::string& difference) {
    throw ConfigError(fmt::format(
        "[run] these overrides, with the configs as they are now, are not the run that is resumed: "
        "{}. Leave the overrides out to go on as launched, or start another run without --resume.",
        difference));
  };
  if (frozen.size() != composed.size()) {
    refuse(fmt::format("it has {} trials, these are {}", frozen.size(), composed.size()));
  }
  for (std::size_t i = 0; i < frozen.size(); ++i) {
    const Trial& a = frozen[i];
    const Trial& b = composed[i];
    if (a.trial_id == b.trial_id && a.config_hash == b.config_hash) continue;
    refuse(fmt::format("of trial {} ({}) {}", i + 1, a.trial_id, difference(a, b)));
  }
}

}  // namespace attnlab::runner
