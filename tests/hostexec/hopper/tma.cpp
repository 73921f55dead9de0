#include "hostexec/hopper/tma.h"

#include <algorithm>
#include <cstring>

#include "hostexec/hopper/block.h"

namespace attnlab::hostexec {
namespace {

constexpr int kChunkBytes = 16;
// PTX ISA: tiles in shared memory are 128-byte aligned; swizzled ones have to begin with a pattern,
// or what they look like depends on where they begin.
constexpr int kTileAlignment = 128;

TileMap decoded(const cuda::TensorMap* map, const Site& site) {
  TileMap tile;
  if (!decode_tensor_map(*map, tile)) {
    fail_at(site, "a tensor map that does not come from encode_tensor_map");
  }
  return tile;
}

int tile_offset(const TileMap& tile, const void* shared, const Site& site) {
  return shared_offset(shared, tile.tile_bytes(),
                       std::max(kTileAlignment, pattern_bytes(tile.swizzle)), "a tile", site);
}

template <class Visit>
void for_each_chunk(const TileMap& tile, const TileCoordinates& at, Visit visit) {
  for (int i = 0; i < tile.tile_bytes() / kChunkBytes; ++i) visit(i, tile_chunk(tile, at, i));
}

void check_global(const TileMap& tile, const TileCoordinates& at, Access access, const Site& site) {
  for_each_chunk(tile, at, [&](int, const TileChunk& chunk) {
    if (chunk.inside_bytes == 0) return;
    check_access(chunk.global, chunk.inside_bytes, 1, access, Where(site));
  });
}

void write_tile(const TileMap& tile, const TileCoordinates& at, std::byte* shared, int offset) {
  for_each_chunk(tile, at, [&](int i, const TileChunk& chunk) {
    std::memset(shared + swizzled(offset + i * kChunkBytes, tile.swizzle), 0, kChunkBytes);
    if (chunk.inside_bytes == 0) return;
    std::memcpy(shared + swizzled(offset + chunk.shared_offset, tile.swizzle), chunk.global,
                static_cast<std::size_t>(chunk.inside_bytes));
  });
}

}  // namespace

void check_tensor_map(const cuda::TensorMap* map, const Site& site) {
  const Unwatched pause;
  decoded(map, site);
}

void tma_load(void* shared, const cuda::TensorMap* map, const void* barrier,
              const TileCoordinates& at, const Site& site) {
  const Unwatched pause;
  const auto block = hopper_block();
  const TileMap tile = decoded(map, site);
  const int offset = tile_offset(tile, shared, site);
  int barrier_offset = 0;
  const int phase = find_barrier(*block, barrier, barrier_offset, site).phase;
  check_global(tile, at, Access::kRead, site);
  async_begin(barrier, sizeof(std::uint64_t), Access::kRead, Proxy::kAsync, Where(site));
  async_begin(shared, tile.tile_bytes(), Access::kWrite, Proxy::kAsync, Where(site));
  // Whoever reads too early finds NaN.
  std::memset(shared, 0xff, static_cast<std::size_t>(tile.tile_bytes()));
  const int number = block->num_loads++;
  block->loads.emplace(number, site);
  post([=, memory = position().shared] {
    write_tile(tile, at, memory, offset);
    block->loads.erase(number);
    Clock& arriving = block->barriers.at(barrier_offset).arriving;
    async_end(barrier, sizeof(std::uint64_t), Access::kRead, Where(site), arriving);
    async_end(shared, tile.tile_bytes(), Access::kWrite, Where(site), arriving);
    complete_bytes(*block, barrier_offset, phase, tile.tile_bytes(), site);
  });
}

void TileStore::read() {
  if (was_read) return;
  was_read = true;
  for (int i = 0; i < tile.tile_bytes(); i += kChunkBytes) {
    std::memcpy(bytes.data() + i, shared + swizzled(offset + i, tile.swizzle), kChunkBytes);
  }
  async_end(shared + offset, tile.tile_bytes(), Access::kRead, Where(site), done);
}

void TileStore::write() {
  if (was_written) return;
  read();
  was_written = true;
  for_each_chunk(tile, at, [&](int, const TileChunk& chunk) {
    if (chunk.inside_bytes == 0) return;
    std::memcpy(const_cast<std::byte*>(chunk.global), bytes.data() + chunk.shared_offset,
                static_cast<std::size_t>(chunk.inside_bytes));
  });
}

void tma_store(const cuda::TensorMap* map, const void* shared, const TileCoordinates& at,
               const Site& site) {
  const Unwatched pause;
  const auto block = hopper_block();
  const auto store = std::make_shared<TileStore>();
  store->tile = decoded(map, site);
  store->at = at;
  store->shared = position().shared;
  store->offset = tile_offset(store->tile, shared, site);
  store->bytes.resize(static_cast<std::size_t>(store->tile.tile_bytes()));
  store->site = site;
  async_begin(shared, store->tile.tile_bytes(), Access::kRead, Proxy::kAsync, Where(site));
  check_global(store->tile, at, Access::kWrite, site);
  StoreGroups& groups = block->stores[position().thread];
  groups.open.push_back(store);
  groups.last = site;
  // Reading and writing happen when the schedule says, or when somebody waits for them.
  if (schedule().completion == Completion::kLatest) return;
  post([store] { store->read(); });
  post([store] { store->write(); });
}

void tma_store_commit(const Site& site) {
  const Unwatched pause;
  StoreGroups& groups = hopper_block()->stores[position().thread];
  groups.unread.push_back(groups.open);
  groups.unwritten.push_back(std::move(groups.open));
  groups.open.clear();
  groups.last = site;
}

void tma_store_wait(int pending_groups, bool written, const Site&) {
  const Unwatched pause;
  StoreGroups& groups = hopper_block()->stores[position().thread];
  const auto pending = static_cast<std::size_t>(pending_groups);
  for (; groups.unread.size() > pending; groups.unread.pop_front()) {
    for (const auto& store : groups.unread.front()) {
      store->read();
      acquire_from(store->done);
    }
  }
  if (!written) return;
  for (; groups.unwritten.size() > pending; groups.unwritten.pop_front()) {
    for (const auto& store : groups.unwritten.front()) store->write();
  }
}

}  // namespace attnlab::hostexec
