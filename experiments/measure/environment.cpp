#include "experiments/measure/environment.h"

#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <benchmark/benchmark.h>
#include <fmt/core.h>
#include <torch/headeronly/version.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "experiments/measure/system_facts.h"
#include "experiments/root.h"

namespace attnlab::measure {
namespace {

std::string first_line(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

std::string host_name() {
  std::array<char, 256> name = {};
  if (gethostname(name.data(), name.size() - 1) != 0) return "";
  return name.data();
}

std::string cpu_model() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const auto colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "";
}

/// Follows .git (a folder, or a file that points to one) without running git: HEAD, then the loose
/// or the packed reference.
std::string git_commit(const std::filesystem::path& root) {
  std::filesystem::path git = root / ".git";
  std::error_code error;
  if (std::filesystem::is_regular_file(git, error)) {
    const std::string pointer = first_line(git);
    if (!pointer.starts_with("gitdir: ")) return "";
    git = root / pointer.substr(8);
  }
  const std::string head = first_line(git / "HEAD");
  if (!head.starts_with("ref: ")) return head;
  const std::string reference = head.substr(5);
  // The branches of a linked work tree lie in the common folder.
  const std::string common = first_line(git / "commondir");
  if (!common.empty()) git = git / common;
  const std::string loose = first_line(git / reference);
  if (!loose.empty()) return loose;
  std::ifstream packed(git / "packed-refs");
  for (std::string line; std::getline(packed, line);) {
    if (line.ends_with(" " + reference)) return line.substr(0, line.find(' '));
  }
  return "";
}

nlohmann::ordered_json gpu_json(const ops::DeviceInfo& gpu, const ops::DeviceClocks& clocks) {
  nlohmann::ordered_json object = {{"model", gpu.name},
                                   {"compute_capability", gpu.compute_capability},
                                   {"multiprocessors", gpu.multiprocessors},
                                   {"memory_bytes", gpu.memory_bytes},
                                   {"l2_bytes", gpu.l2_bytes},
                                   {"driver_cuda_version", gpu.driver_version},
                                   {"runtime_cuda_version", gpu.runtime_version}};
  if (!clocks.known) return object;
  object["sm_mhz"] = clocks.sm_mhz;
  object["sm_max_mhz"] = clocks.sm_max_mhz;
  object["memory_mhz"] = clocks.memory_mhz;
  object["power_w"] = clocks.power_w;
  object["temperature_c"] = clocks.temperature_c;
  object["throttle_reasons"] = clocks.throttle_reasons;
  return object;
}

}  // namespace

Environment read_environment() {
  Environment environment;
  environment.host = host_name();
  environment.cpu_model = cpu_model();
  environment.logical_cpus = static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN));
  environment.threads = at::get_num_threads();
  environment.compiler = fmt::format("g++ {}.{}.{}", __GNUC__, __GNUC_MINOR__, __GNUC_PATCHLEVEL__);
  environment.torch_version =
      fmt::format("{}.{}.{}", TORCH_VERSION_MAJOR, TORCH_VERSION_MINOR, TORCH_VERSION_PATCH);
  environment.cpu_capability = at::get_cpu_capability();
  environment.git_commit = git_commit(project_root());
  environment.git_dirty = is_dirty(project_root());
  if (const ops::Device* device = ops::loaded_cuda_device()) {
    environment.gpu = device->info();
    environment.gpu_clocks = device->clocks();
  }
  return environment;
}

nlohmann::ordered_json to_json(const Environment& environment) {
  const benchmark::CPUInfo& cpu = benchmark::CPUInfo::Get();
  nlohmann::ordered_json caches = nlohmann::ordered_json::array();
  for (const auto& cache : cpu.caches) {
    caches.push_back({{"type", cache.type},
                      {"level", cache.level},
                      {"size_bytes", cache.size},
                      {"shared_by", cache.num_sharing}});
  }
  const char* scaling = cpu.scaling == benchmark::CPUInfo::ENABLED    ? "enabled"
                        : cpu.scaling == benchmark::CPUInfo::DISABLED ? "disabled"
                                                                      : "unknown";
  // CPUInfo keeps the load average of its first use.
  std::array<double, 3> load = {};
  const int known = getloadavg(load.data(), static_cast<int>(load.size()));
  nlohmann::ordered_json object = {
      {"host", environment.host},
      {"cpu_model", environment.cpu_model},
      {"logical_cpus", environment.logical_cpus},
      {"cpu_frequency_scaling", scaling},
      {"caches", caches},
      {"load_average", std::vector<double>(load.begin(), load.begin() + std::max(known, 0))},
      {"threads", environment.threads},
      {"compiler", environment.compiler},
      {"torch_version", environment.torch_version},
      {"cpu_capability", environment.cpu_capability},
      {"git_commit", environment.git_commit},
      {"git_dirty", nullptr}};
  if (environment.git_dirty) object["git_dirty"] = *environment.git_dirty;
  const SystemFacts facts = read_system_facts();
  object["physical_cores"] = facts.physical_cores;
  object["cpu_features"] = facts.cpu_features;
  object["memory_bytes"] = facts.memory_bytes;
  object["kernel"] = facts.kernel;
  object["governor"] = facts.governor;
  object["transparent_hugepages"] = facts.transparent_hugepages;
  object["build_type"] = facts.build_type;
  object["compiler_flags"] = facts.compiler_flags;
  object["torch_config"] = facts.torch_config;
  object["variables"] = facts.variables;
  if (environment.gpu) object["gpu"] = gpu_json(*environment.gpu, environment.gpu_clocks);
  return object;
}

void fill_environment(const Environment& environment, analysis::Record& record) {
  record.host = environment.host;
  record.cpu_model = environment.cpu_model;
  record.torch_version = environment.torch_version;
  record.compiler = environment.compiler;
  record.git_commit = environment.git_commit;
}

}  // namespace attnlab::measure
