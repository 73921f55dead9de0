#include "experiments/bench/threads.h"

#include <ATen/Parallel.h>
#include <fmt/core.h>
#include <omp.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string>
#include <vector>

#include "experiments/measure/cpus.h"
#include "kernels/core/error.h"

namespace attnlab::bench {
namespace {

cpu_set_t allowed_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  sched_getaffinity(0, sizeof(set), &set);
  return set;
}

}  // namespace

int available_cpus() {
  // After the restart this thread's own set is one CPU; the places are all of them.
  if (const int places = omp_get_num_places(); places > 0) return places;
  const cpu_set_t set = allowed_cpus();
  return CPU_COUNT(&set);
}

void pin_by_restart(int max_threads, char** argv) {
  if (std::getenv("OMP_PLACES") != nullptr) return;
  const std::vector<int> cpus = measure::cpus_by_core();
  if (max_threads > static_cast<int>(cpus.size())) {
    throw ConfigError(fmt::format(
        "[bench] --threads asks for {} threads, this process may use {} CPUs; ask for fewer",
        max_threads, cpus.size()));
  }
  std::string places;
  for (int i = 0; i < max_threads; ++i) {
    places += fmt::format("{}{{{}}}", i == 0 ? "" : ",", cpus[static_cast<std::size_t>(i)]);
  }
  setenv("OMP_PLACES", places.c_str(), 1);
  setenv("OMP_PROC_BIND", "close", 1);
  execv("/proc/self/exe", argv);
  throw ConfigError(
      fmt::format("[bench] cannot start again with pinned threads: {}; set "
                  "OMP_PLACES='{}' OMP_PROC_BIND=close yourself",
                  std::strerror(errno), places));
}

void use_threads(int threads) {
  at::set_num_threads(threads);
  std::vector<int> cpus(static_cast<std::size_t>(threads), -1);
  run_on_threads(threads, Clock::kWall, [&](int thread) {
    const cpu_set_t set = allowed_cpus();
    if (CPU_COUNT(&set) == 1) cpus[static_cast<std::size_t>(thread)] = sched_getcpu();
  });
  std::sort(cpus.begin(), cpus.end());
  if (cpus.front() >= 0 && std::adjacent_find(cpus.begin(), cpus.end()) == cpus.end()) return;
  std::string found;
  for (const int cpu : cpus) found += fmt::format(" {}", cpu);
  throw ConfigError(
      fmt::format("[bench] the {} threads are not each bound to a CPU of their own "
                  "(found:{}, -1 = not bound); unset OMP_PLACES and OMP_PROC_BIND, or "
                  "name one place per thread",
                  threads, found));
}

double now(Clock clock) {
  timespec time{};
  clock_gettime(clock == Clock::kWall ? CLOCK_MONOTONIC : CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

double run_on_threads(int threads, Clock clock, const std::function<void(int)>& work) {
  const double start = now(clock);
#pragma omp parallel num_threads(threads)
  work(omp_get_thread_num());
  return now(clock) - start;
}

}  // namespace attnlab::bench
