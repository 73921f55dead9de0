#include "experiments/measure/system_facts.h"

#include <ATen/Version.h>
#include <fmt/core.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <set>
#include <sstream>
#include <string_view>
#include <system_error>

#include "experiments/config/secret_names.h"
#include "experiments/measure/cpus.h"
#include "experiments/process/child_process.h"

extern char** environ;

namespace attnlab::measure {
namespace {

std::string first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

std::string kernel() {
  utsname name{};
  if (::uname(&name) != 0) return "";
  return fmt::format("{} {} {}", name.sysname, name.release, name.machine);
}

int physical_cores() {
  std::set<std::string> cores;
  for (const int cpu : cpus_by_core()) {
    const std::string siblings =
        first_line(fmt::format("/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list", cpu));
    cores.insert(siblings.empty() ? fmt::format("cpu {}", cpu) : siblings);
  }
  return static_cast<int>(cores.size());
}

std::vector<std::string> cpu_features() {
  constexpr std::array<std::string_view, 9> kUsed = {"fma",         "avx2",     "f16c",
                                                     "avx512f",     "avx512bw", "avx512vl",
                                                     "avx512_bf16", "amx_tile", "amx_bf16"};
  std::ifstream file("/proc/cpuinfo");
  std::vector<std::string> features;
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with("flags")) continue;
    std::istringstream words(line);
    for (std::string word; words >> word;) {
      if (std::find(kUsed.begin(), kUsed.end(), word) != kUsed.end()) features.push_back(word);
    }
    break;
  }
  return features;
}

/// "always [madvise] never" -> "madvise".
std::string chosen(const std::string& text) {
  const std::size_t begin = text.find('[');
  const std::size_t end = text.find(']');
  if (begin == std::string::npos || end == std::string::npos || end < begin) return text;
  return text.substr(begin + 1, end - begin - 1);
}

std::vector<std::string> lines(const std::string& text) {
  std::istringstream stream(text);
  std::vector<std::string> result;
  for (std::string line; std::getline(stream, line);) {
    const std::size_t begin = line.find_first_not_of(" -");
    if (begin != std::string::npos) result.push_back(line.substr(begin));
  }
  return result;
}

std::map<std::string, std::string> recorded_variables() {
  std::map<std::string, std::string> variables;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    const std::size_t equals = text.find('=');
    const std::string name = text.substr(0, equals);
    if (equals != std::string::npos && is_recorded_variable(name)) {
      variables[name] = text.substr(equals + 1);
    }
  }
  return variables;
}

}  // namespace

bool is_recorded_variable(const std::string& name) {
  constexpr std::array<std::string_view, 11> kPrefixes = {
      "OMP_",    "GOMP_", "KMP_",   "MKL_",     "OPENBLAS_", "DNNL_",
      "ONEDNN_", "ATEN_", "TORCH_", "ATTNLAB_", "CUDA_"};
  const auto begins = [&](std::string_view prefix) { return name.starts_with(prefix); };
  return std::any_of(kPrefixes.begin(), kPrefixes.end(), begins) && !config::is_secret_name(name);
}

std::optional<bool> is_dirty(const std::filesystem::path& root) {
  std::error_code error;
  if (!std::filesystem::exists(root / ".git", error)) return std::nullopt;
  process::ChildRequest request;
  request.arguments = {"/usr/bin/env",        "git", "-C", root.string(), "status", "--porcelain",
                       "--untracked-files=no"};
  request.time_limit_s = 5;
  try {
    const process::ChildResult result = process::run_child(request);
    if (result.end != process::ChildEnd::kExited || result.exit_code != 0) return std::nullopt;
    return !result.output.empty();
  } catch (const std::system_error&) {
    // No git can be started: then nobody can say.
    return std::nullopt;
  }
}

SystemFacts read_system_facts() {
  SystemFacts facts;
  facts.kernel = kernel();
  facts.physical_cores = physical_cores();
  facts.cpu_features = cpu_features();
  facts.memory_bytes = static_cast<std::int64_t>(::sysconf(_SC_PHYS_PAGES)) *
                       static_cast<std::int64_t>(::sysconf(_SC_PAGESIZE));
  facts.governor = first_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor");
  facts.transparent_hugepages = chosen(first_line("/sys/kernel/mm/transparent_hugepage/enabled"));
  facts.build_type = ATTNLAB_BUILD_TYPE;
  facts.compiler_flags = ATTNLAB_COMPILER_FLAGS;
  facts.torch_config = lines(at::show_config());
  facts.variables = recorded_variables();
  return facts;
}

}  // namespace attnlab::measure
