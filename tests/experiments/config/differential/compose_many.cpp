// Composes many cases in one process, for the comparison with Hydra: reads a JSON object a line
// {"dir": ..., "overrides": [...]} from stdin, and writes {"jobs": [YAML...]} or {"error": ...}.
#include <exception>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>

#include "experiments/config/compose.h"
#include "experiments/config/emit_yaml.h"
#include "kernels/core/error.h"

namespace {

nlohmann::json outcome(const nlohmann::json& input) {
  attnlab::config::ComposeRequest request;
  request.config_dirs = {input.at("dir").get<std::string>()};
  request.overrides = input.at("overrides").get<std::vector<std::string>>();
  request.schema_free = true;
  try {
    nlohmann::json jobs = nlohmann::json::array();
    for (const attnlab::config::Job& job : attnlab::config::compose(request)) {
      jobs.push_back(attnlab::config::emit_yaml(job.config));
    }
    return {{"jobs", jobs}};
  } catch (const attnlab::ConfigError& error) {
    return {{"error", error.what()}};
  }
}

}  // namespace

int main() {
  // Any other exception than ConfigError is a bug of ours, and ends the program.
  for (std::string line; std::getline(std::cin, line);) {
    std::cout << outcome(nlohmann::json::parse(line))
                     .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)
              << '\n';
  }
  return 0;
}
