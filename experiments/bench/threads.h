// Threads that stay on their cores, for Torch's OpenMP pool, which our kernels use too.
#pragma once

#include <functional>

namespace attnlab::bench {

/// CPUs that this process may use.
int available_cpus();

/// Makes every OpenMP thread of this program stay on one CPU: sets OMP_PLACES and OMP_PROC_BIND,
/// which libgomp reads only when it is loaded, and starts the program again with the same words.
/// Returns at once where OMP_PLACES is set already (by the first start, or by the user). The CPUs
/// are those that this process may use, one per physical core first. Throws ConfigError for more
/// threads than CPUs.
void pin_by_restart(int max_threads, char** argv);

/// Sets Torch's number of threads, and checks that each of them is bound to a CPU of its own.
/// Throws ConfigError where it is not.
void use_threads(int threads);

enum class Clock {
  kWall,
  kThreadCpu,  ///< CPU time of the calling thread: for one thread on a machine that others use
};

/// Seconds of the clock.
double now(Clock clock);

/// Runs work(0), ..., work(threads - 1), each on its own thread of the pool, and returns the
/// seconds from the first start to the last end (of the calling thread for Clock::kThreadCpu).
double run_on_threads(int threads, Clock clock, const std::function<void(int)>& work);

}  // namespace attnlab::bench
