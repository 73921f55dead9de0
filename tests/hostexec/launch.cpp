// A launch: its configuration, then its blocks one after another.
#include <cstdlib>
#include <memory>

#include "hostexec/machine.h"

namespace attnlab::hostexec {
namespace {

void check_configuration(const KernelCall& call) {
  const auto refuse = [&](const std::string& what) {
    throw KernelFault("[hostexec] launch of " + symbol_of(call.kernel) + " refused: " + what);
  };
  if (call.threads < kWarp || call.threads > kMaxThreads || call.threads % kWarp != 0) {
    refuse(std::to_string(call.threads) + " threads; allowed: multiples of 32 up to 1024");
  }
  if (call.grid.x < 1 || call.grid.y < 1 || call.grid.z < 1 || call.grid.y > 65535 ||
      call.grid.z > 65535) {
    refuse("grid (" + std::to_string(call.grid.x) + ", " + std::to_string(call.grid.y) + ", " +
           std::to_string(call.grid.z) + "); allowed: 1 and more, y and z up to 65535");
  }
  constexpr int kMostShared = 227 * 1024;
  if (call.shared_bytes < 0 || call.shared_bytes > kMostShared) {
    refuse(std::to_string(call.shared_bytes) + " bytes of shared memory; allowed: up to " +
           std::to_string(kMostShared));
  }
}

}  // namespace

void run_kernel(const KernelCall& call) {
  Machine& m = machine();
  check_configuration(call);
  m.call = call;
  m.schedule = schedule();
  m.random.seed(m.schedule.seed);
  m.failed = false;
  m.position.grid = call.grid;
  m.position.threads = call.threads;
  m.position.shared_bytes = call.shared_bytes;
  constexpr std::size_t kAlignment = 1024;
  const std::size_t bytes =
      (static_cast<std::size_t>(call.shared_bytes) / kAlignment + 1) * kAlignment;
  const std::unique_ptr<std::byte, decltype(&std::free)> shared(
      static_cast<std::byte*>(std::aligned_alloc(kAlignment, bytes)), &std::free);
  m.position.shared = shared.get();
  begin_launch_checks();
  int index = 0;
  for (int z = 0; z < call.grid.z; ++z) {
    for (int y = 0; y < call.grid.y; ++y) {
      for (int x = 0; x < call.grid.x; ++x) {
        m.position.block = {x, y, z};
        run_block(index++);
        m.inside = false;
        if (m.failed) throw KernelFault("[hostexec] " + m.failure);
      }
    }
  }
}

}  // namespace attnlab::hostexec
