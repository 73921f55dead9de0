#include "experiments/runner/worker_messages.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "experiments/config/load_yaml.h"
#include "kernels/core/error.h"

namespace attnlab::runner {
namespace {

using Json = nlohmann::ordered_json;

template <class F>
auto decode(const std::string& text, const char* what, const F& from_json) {
  try {
    return from_json(Json::parse(text));
  } catch (const nlohmann::json::exception& error) {
    throw ConfigError(
        fmt::format("[worker] no {}: {}. Messages between a run and its workers are "
                    "not for other programs.",
                    what, error.what()));
  }
}

}  // namespace

std::string encode_task(const WorkerTask& task) {
  return Json{{"config", task.trial.config_yaml},
              {"trial_id", task.trial.trial_id},
              {"resume_key", task.trial.resume_key},
              {"folder", task.trial.folder},
              {"plugins", task.plugins}}
      .dump();
}

WorkerTask decode_task(const std::string& text) {
  return decode(text, "task", [](const Json& object) {
    WorkerTask task;
    task.trial.config_yaml = object.at("config").get<std::string>();
    task.trial.config =
        config::parse_trial(config::parse_yaml(task.trial.config_yaml, "config of the trial"));
    task.trial.trial_id = object.at("trial_id").get<std::string>();
    task.trial.resume_key = object.at("resume_key").get<std::string>();
    task.trial.folder = object.at("folder").get<std::string>();
    task.plugins = object.at("plugins").get<std::vector<std::string>>();
    return task;
  });
}

std::string encode_result(const TrialResult& result) {
  return Json{{"record", analysis::to_json(result.record)},
              {"samples_ms", result.samples_ms},
              {"notes", result.notes}}
      .dump();
}

TrialResult decode_result(const std::string& text) {
  return decode(text, "result", [](const Json& object) {
    return TrialResult{analysis::from_json(object.at("record")),
                       object.at("samples_ms").get<std::vector<double>>(),
                       object.at("notes").get<std::string>()};
  });
}

}  // namespace attnlab::runner
