// The CPUs that this process may use, and threads that stay on them.
#pragma once

#include <string>
#include <vector>

namespace attnlab::measure {

/// One CPU of each physical core first, then their siblings; only those that the process may use
/// (taskset, cgroups).
std::vector<int> cpus_by_core();

/// Binds each of the first `threads` threads of the OpenMP pool, which is Torch's and that of our
/// kernels, this thread among them, to a CPU of its own in the order of cpus_by_core, for the rest
/// of the process. Returns the CPUs; empty where there are fewer of them than threads, or the
/// system refuses.
std::vector<int> pin_threads(int threads);

/// What the machine and this process have done since the system and the process started.
struct CpuTimes {
  double busy_s = 0;     ///< all programs, all CPUs
  double stolen_s = 0;   ///< taken by the host of a virtual machine
  double own_s = 0;      ///< this process, all threads
  long preemptions = 0;  ///< times that a thread of this process had to leave its CPU
  double wall_s = 0;
};
CpuTimes read_cpu_times();

/// Current clock of a CPU in MHz; 0 where the system does not say.
double cpu_mhz(int cpu);

}  // namespace attnlab::measure
