#include "experiments/measure/cpus.h"

#include <fmt/core.h>
#include <omp.h>
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <sstream>

namespace attnlab::measure {
namespace {

/// Siblings of a physical core share this text; unique where the system does not say.
std::string core_of(int cpu) {
  std::ifstream file(
      fmt::format("/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list", cpu));
  std::string text;
  return std::getline(file, text) ? text : fmt::format("cpu {}", cpu);
}

double seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
}

}  // namespace

std::vector<int> cpus_by_core() {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  ::sched_getaffinity(0, sizeof allowed, &allowed);
  std::vector<int> first, rest;
  std::vector<std::string> seen;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &allowed) == 0) continue;
    const std::string core = core_of(cpu);
    const bool is_new = std::find(seen.begin(), seen.end(), core) == seen.end();
    (is_new ? first : rest).push_back(cpu);
    if (is_new) seen.push_back(core);
  }
  first.insert(first.end(), rest.begin(), rest.end());
  return first;
}

std::vector<int> pin_threads(int threads) {
  std::vector<int> cpus = cpus_by_core();
  const auto wanted = static_cast<std::size_t>(threads);
  if (threads < 1 || cpus.size() < wanted) return {};
  cpus.resize(wanted);
  std::vector<int> bound(wanted, 0);
#pragma omp parallel num_threads(threads)
  {
    const auto thread = static_cast<std::size_t>(omp_get_thread_num());
    cpu_set_t own;
    CPU_ZERO(&own);
    CPU_SET(cpus[thread], &own);
    bound[thread] = ::sched_setaffinity(0, sizeof own, &own) == 0 ? 1 : 0;
  }
  const bool all = std::all_of(bound.begin(), bound.end(), [](int one) { return one == 1; });
  return all ? cpus : std::vector<int>();
}

CpuTimes read_cpu_times() {
  CpuTimes times;
  std::ifstream file("/proc/stat");
  std::string line;
  std::getline(file, line);
  std::istringstream fields(line);
  std::string name;
  double user = 0, nice = 0, system = 0, idle = 0, io_wait = 0, irq = 0, soft_irq = 0, steal = 0;
  fields >> name >> user >> nice >> system >> idle >> io_wait >> irq >> soft_irq >> steal;
  const auto ticks = static_cast<double>(::sysconf(_SC_CLK_TCK));
  times.busy_s = (user + nice + system + irq + soft_irq) / ticks;
  times.stolen_s = steal / ticks;
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  times.own_s = seconds(usage.ru_utime) + seconds(usage.ru_stime);
  times.preemptions = usage.ru_nivcsw;
  times.wall_s =
      std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
  return times;
}

double cpu_mhz(int cpu) {
  std::ifstream scaling(fmt::format("/sys/devices/system/cpu/cpu{}/cpufreq/scaling_cur_freq", cpu));
  double khz = 0;
  if (scaling >> khz) return khz / 1000;
  std::ifstream file("/proc/cpuinfo");
  int processor = -1;
  for (std::string line; std::getline(file, line);) {
    const std::size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    std::istringstream value(line.substr(colon + 1));
    double mhz = 0;
    if (line.starts_with("processor")) value >> processor;
    if (processor == cpu && line.starts_with("cpu MHz") && value >> mhz) return mhz;
  }
  return 0;
}

}  // namespace attnlab::measure
