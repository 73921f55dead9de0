// Tiles on their way from shared to global memory, per thread. Internal to tests/hostexec/hopper.
#pragma once

#include <array>
#include <cstddef>
#include <deque>
#include <memory>
#include <vector>

#include "hostexec/fault.h"
#include "hostexec/hopper/tensor_map.h"
#include "hostexec/race.h"

namespace attnlab::hostexec {

/// Reads its tile from shared memory, and later writes it: each once, whoever asks first.
struct TileStore {
  TileMap tile;
  std::array<int, 4> at{};
  const std::byte* shared = nullptr;  ///< the block's memory
  int offset = 0;                     ///< of the tile in it
  std::vector<std::byte> bytes;       ///< what was read, not swizzled
  Site site;
  Clock done;  ///< what comes after reading
  bool was_read = false;
  bool was_written = false;

  void read();
  void write();
};

using StoreGroup = std::vector<std::shared_ptr<TileStore>>;

struct StoreGroups {
  StoreGroup open;                ///< not committed
  std::deque<StoreGroup> unread;  ///< not waited for, oldest first
  std::deque<StoreGroup> unwritten;
  Site last;  ///< call
};

}  // namespace attnlab::hostexec
