// Registers that warpgroups hand to each other, and the election of a lane.
#include <algorithm>

#include "hostexec/hopper/block.h"

namespace attnlab::hostexec {
namespace {

constexpr int kRegisterFile = 64 * 1024;
constexpr int kMostRegisters = 256;

// What a kernel with __launch_bounds__(threads, 1) gets when it starts: an even share in steps
// of 8.
int registers_at_start(int threads) {
  return std::min(kMostRegisters, kRegisterFile / threads / 8 * 8);
}

}  // namespace

void set_registers(int count, bool raise, const Site& site) {
  const Unwatched pause;
  const auto block = hopper_block();
  const auto own = static_cast<std::size_t>(position().thread / kWarpgroup);
  if (own >= block->warpgroups.size()) {
    fail_at(site, "setting the registers of a part of a warpgroup");
  }
  const int start = registers_at_start(position().threads);
  const int groups = static_cast<int>(block->warpgroups.size());
  const auto held = [block, start](std::size_t i) {
    const int registers = block->warpgroups[i].registers;
    return registers == 0 ? start : registers;
  };
  const int before = held(own);
  if (raise ? count < before : count > before) {
    fail_at(site, std::string(raise ? "raise" : "lower") + "_registers from " +
                      std::to_string(before) + " to " + std::to_string(count));
  }
  const auto fits = [=] {
    int sum = count;
    for (std::size_t i = 0; i < block->warpgroups.size(); ++i) sum += i == own ? 0 : held(i);
    return sum <= start * groups;
  };
  wait_until(fits,
             "registers of other warpgroups: " + std::to_string(count) + " wanted of " +
                 std::to_string(start * groups) + " for " + std::to_string(groups) + " warpgroups",
             site);
  block->warpgroups[own].gather(raise ? "raise_registers" : "lower_registers", site,
                                [&] { block->warpgroups[own].registers = count; });
}

bool elect_one(const Site& site) {
  const Unwatched pause;
  vote("elect_one", true, site);
  // Any lane may be the one; the same at every call.
  return position().thread % 32 == static_cast<int>(schedule().seed % 32);
}

}  // namespace attnlab::hostexec
