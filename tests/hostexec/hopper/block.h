// What the emulator knows about a block's Hopper operations: mbarriers, tiles on their way,
// products under way, registers. For the .cpp files of tests/hostexec/hopper only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "hostexec/hopper/store_groups.h"
#include "hostexec/hopper/warpgroup.h"
#include "hostexec/race.h"
#include "hostexec/scheduler.h"

namespace attnlab::hostexec {

/// One mbarrier; its 8 bytes of shared memory only name it.
struct MbarrierState {
  explicit MbarrierState(int expected = 0) : arrivals(expected), pending(expected) {}

  int arrivals;                    ///< that a phase expects
  int pending;                     ///< of them, still to come
  std::int64_t missing_bytes = 0;  ///< announced and not arrived; below 0 before the announcement
  int phase = 0;                   ///< how many have completed
  Clock arriving;                  ///< what came before the arrivals of the current phase
  Clock completed;                 ///< and before those of completed phases
};

struct HopperBlock {
  std::map<int, MbarrierState> barriers;  ///< by offset in shared memory
  std::map<int, StoreGroups> stores;      ///< by thread
  std::vector<Warpgroup> warpgroups;
  std::map<int, Site> loads;  ///< under way, by a running number
  int num_loads = 0;
};

/// Of the block that runs. Operations that are unfinished at its end are faults.
std::shared_ptr<HopperBlock> hopper_block();

/// Offset of `bytes` bytes at `pointer` in the block's shared memory; a fault where they are not in
/// it or not aligned to `alignment`.
int shared_offset(const void* pointer, int bytes, int alignment, const std::string& what,
                  const Site& site);

/// The message ends with the place of the call.
[[noreturn]] void fail_at(const Site& site, const std::string& what);

/// `bytes` of a tile have arrived at the barrier, which was in `phase` when they were asked for.
void complete_bytes(HopperBlock& block, int barrier, int phase, int bytes, const Site& site);
/// The initialised barrier at `pointer`, and its offset.
MbarrierState& find_barrier(HopperBlock& block, const void* pointer, int& offset, const Site& site);

}  // namespace attnlab::hostexec
