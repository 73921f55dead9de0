// Facts about the system for environment.json that no row has. Nothing secret: of the environment
// variables only those that change how attnlab and its libraries compute.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace attnlab::measure {

struct SystemFacts {
  std::string kernel;                     ///< "Linux 6.1.0 x86_64"
  int physical_cores = 0;                 ///< that this process may use
  std::vector<std::string> cpu_features;  ///< of those that kernels here use: "avx2", ...
  std::int64_t memory_bytes = 0;          ///< of the machine
  std::string governor;                   ///< of the clock; "" where the system does not say
  std::string transparent_hugepages;      ///< "always", "madvise", "never"; "" likewise
  std::string build_type;                 ///< "Release"
  std::string compiler_flags;
  std::vector<std::string> torch_config;  ///< lines of Torch's own description: BLAS, oneDNN, ...
  std::map<std::string, std::string> variables;
};

SystemFacts read_system_facts();

/// Whether a variable may be written down: its name begins with one of a few prefixes (OMP_, MKL_,
/// ATTNLAB_, ...) and does not speak of a secret (experiments/config/secret_names.h).
bool is_recorded_variable(const std::string& name);

/// Whether files of the repository at `root` differ from its commit; empty where git cannot say.
std::optional<bool> is_dirty(const std::filesystem::path& root);

}  // namespace attnlab::measure
