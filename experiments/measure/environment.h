// The machine and the software that a result comes from.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "analysis/record.h"
#include "kernels/ops/device.h"

namespace attnlab::measure {

struct Environment {
  std::string host;
  std::string cpu_model;
  int logical_cpus = 0;
  int threads = 0;             ///< at::get_num_threads()
  std::string compiler;        ///< "g++ 12.2.0"
  std::string torch_version;   ///< "2.11.0"
  std::string cpu_capability;  ///< instruction set that Torch uses
  std::string git_commit;      ///< of the project's folder now; empty where it is no repository
  std::optional<bool> git_dirty = std::nullopt;       ///< files differ from it; empty: not known
  std::optional<ops::DeviceInfo> gpu = std::nullopt;  ///< where the CUDA half is loaded
  ops::DeviceClocks gpu_clocks = {};                  ///< now, before the trials
};

Environment read_environment();

/// For environment.json: everything above, caches, frequency scaling, load average, and the
/// system's facts (system_facts.h).
nlohmann::ordered_json to_json(const Environment& environment);

/// Fills the columns host, cpu_model, torch_version, compiler and git_commit.
void fill_environment(const Environment& environment, analysis::Record& record);

}  // namespace attnlab::measure
