#include "hostexec/hopper/block.h"

namespace attnlab::hostexec {
namespace {

// Shared memory may be given to another block as soon as this one has ended.
void check_end(const HopperBlock& block) {
  for (const auto& [number, site] : block.loads) {
    fail_at(site,
            "a block ends before a tile has arrived in its shared memory; wait for its barrier");
  }
  for (const auto& [thread, groups] : block.stores) {
    if (!groups.open.empty()) {
      fail_at(groups.last, "a block ends with a tma_store_4d that was not committed");
    }
    if (!groups.unread.empty()) {
      fail_at(groups.last,
              "a block ends before its shared memory has been read by tma_store_4d; call "
              "tma_store_wait_read<0>");
    }
  }
  for (const Warpgroup& warpgroup : block.warpgroups) {
    const std::string place = warpgroup.unfinished();
    if (!place.empty()) fail("a block ends with products that were not waited for, of " + place);
  }
}

void finish(HopperBlock& block) {
  check_end(block);
  for (auto& [thread, groups] : block.stores) {
    for (const StoreGroup& group : groups.unwritten) {
      for (const auto& store : group) store->write();
    }
  }
}

}  // namespace

std::shared_ptr<HopperBlock> hopper_block() {
  std::shared_ptr<void>& extension = block_extension();
  if (extension == nullptr) {
    const auto block = std::make_shared<HopperBlock>();
    block->warpgroups = std::vector<Warpgroup>(static_cast<std::size_t>(position().threads / 128));
    extension = block;
    at_block_end([block] { finish(*block); });
  }
  return std::static_pointer_cast<HopperBlock>(extension);
}

int shared_offset(const void* pointer, int bytes, int alignment, const std::string& what,
                  const Site& site) {
  const Position& here = position();
  const auto address = reinterpret_cast<std::intptr_t>(pointer);
  const std::intptr_t offset = address - reinterpret_cast<std::intptr_t>(here.shared);
  if (offset < 0 || offset + bytes > here.shared_bytes) {
    fail_at(site, what + " of " + std::to_string(bytes) + " bytes at offset " +
                      std::to_string(offset) + " is not in the block's " +
                      std::to_string(here.shared_bytes) + " bytes of shared memory");
  }
  if (offset % alignment != 0) {
    fail_at(site, what + " at offset " + std::to_string(offset) +
                      " of shared memory; it must be a multiple of " + std::to_string(alignment));
  }
  return static_cast<int>(offset);
}

void fail_at(const Site& site, const std::string& what) {
  fail(what + " (" + describe(site) + ")");
}

}  // namespace attnlab::hostexec
