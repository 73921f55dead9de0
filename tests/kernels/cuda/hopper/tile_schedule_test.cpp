#include "kernels/cuda/hopper/tile_schedule.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <tuple>
#include <vector>

#include "tests/support/attention_tensors.h"

namespace attnlab::testing {
namespace {

using cuda::hopper::key_blocks;
using cuda::hopper::KeyBlocks;
using cuda::hopper::make_tile_schedule;
using cuda::hopper::QueryTile;
using cuda::hopper::TileSchedule;

constexpr int kTileQ = 128;

/// What each of `blocks` blocks computes, in order, as the kernel walks.
std::vector<std::vector<int>> walk(const TileSchedule& schedule, int blocks) {
  std::vector<std::vector<int>> result(static_cast<std::size_t>(blocks));
  for (int block = 0; block < blocks; ++block) {
    for (int turn = 0;; ++turn) {
      const int index = schedule.index(turn, block, blocks);
      if (index >= schedule.num_tiles()) break;
      result[static_cast<std::size_t>(block)].push_back(index);
    }
  }
  return result;
}

TEST(TileSchedule, EveryTileOnce) {
  for (const auto& [batch, heads, kv_heads, seqlen_q, seqlen_k, blocks] :
       std::vector<std::tuple<int, int, int, int, int, int>>{{1, 1, 1, 1, 1, 132},
                                                             {2, 3, 1, 700, 5, 7},
                                                             {3, 4, 2, 129, 100000, 132},
                                                             {5, 8, 8, 1000, 70000, 3},
                                                             {1, 7, 7, 640, 0, 4}}) {
    const AttentionShape shape =
        make_shape(batch, heads, kv_heads, seqlen_q, seqlen_k, 128, 128, DType::kBFloat16);
    const TileSchedule schedule = make_tile_schedule(shape, kTileQ, cuda::kH100);
    std::map<std::tuple<int, int, int>, int> times;
    for (const std::vector<int>& indices : walk(schedule, blocks)) {
      for (const int index : indices) {
        const QueryTile tile = schedule.tile(index);
        ++times[{tile.batch_idx, tile.head, tile.q_begin}];
      }
    }
    std::map<std::tuple<int, int, int>, int> expected;
    for (int b = 0; b < batch; ++b) {
      for (int h = 0; h < heads; ++h) {
        for (int q = 0; q < seqlen_q; q += kTileQ) expected[{b, h, q}] = 1;
      }
    }
    EXPECT_EQ(times, expected) << blocks << " blocks, seqlen_q " << seqlen_q;
  }
}

TEST(TileSchedule, GroupsFitTheCache) {
  // Keys and values of a kv_head: 64 MiB, 1 MiB, 16 KiB; 160 (batch item, head) pairs.
  for (const auto& [seqlen_k, pairs] :
       std::vector<std::pair<int, int>>{{131072, 16}, {2048, 54}, {32, 160}}) {
    const AttentionShape shape = make_shape(5, 32, 16, 1000, seqlen_k, 128, 128, DType::kBFloat16);
    EXPECT_EQ(make_tile_schedule(shape, kTileQ, cuda::kH100).pairs_per_group, pairs) << seqlen_k;
  }
}

/// Causal work of `blocks` blocks, the largest over the mean.
double imbalance(const TileSchedule& schedule, int blocks) {
  double largest = 0.0;
  double sum = 0.0;
  for (const std::vector<int>& indices : walk(schedule, blocks)) {
    double work = 0.0;
    for (const int index : indices) work += schedule.tile(index).q_begin + kTileQ;
    largest = std::max(largest, work);
    sum += work;
  }
  return largest * blocks / sum;
}

TEST(TileSchedule, CausalWorkIsEven) {
  // 8 to 128 tiles of a head, 8 to 32 turns of 132 blocks.
  for (const auto& [heads, seqlen] : std::vector<std::pair<int, int>>{
           {128, 1024}, {64, 2048}, {32, 4096}, {16, 8192}, {8, 16384}, {32, 16384}}) {
    const AttentionShape shape =
        make_shape(1, heads, heads, seqlen, seqlen, 128, 128, DType::kBFloat16);
    EXPECT_LT(imbalance(make_tile_schedule(shape, kTileQ, cuda::kH100), 132), 1.1) << seqlen;
  }
}

template <int kTileK>
void expect_key_blocks(const Mask& mask, int q_begin, int q_end) {
  const KeyBlocks blocks = key_blocks<kTileK>(mask, q_begin, q_end);
  for (int block = 0; block * kTileK < mask.seqlen_k + kTileK; ++block) {
    bool any = false;
    bool all = true;
    for (int q = q_begin; q < q_end; ++q) {
      for (int k = block * kTileK; k < (block + 1) * kTileK; ++k) {
        const bool keeps = mask.keeps(q, k);
        any = any || keeps;
        all = all && keeps;
      }
    }
    const bool listed = block >= blocks.first && block < blocks.first + blocks.count;
    EXPECT_EQ(listed, any) << "block " << block << " of queries " << q_begin << " to " << q_end;
    if (!listed) continue;
    EXPECT_EQ(blocks.is_partial<kTileK>(block), !all) << "block " << block;
  }
}

TEST(KeyBlocks, AreThoseThatAnyQuerySees) {
  for (const auto& [seqlen_q, seqlen_k] : std::vector<std::pair<int, int>>{
           {1, 1}, {40, 40}, {33, 100}, {100, 33}, {64, 128}, {7, 0}}) {
    for (MaskOptions options : all_masks()) {
      const Mask mask{seqlen_q, seqlen_k, options.causal, options.window_left,
                      options.window_right};
      for (int q_begin = 0; q_begin < seqlen_q; q_begin += 24) {
        expect_key_blocks<16>(mask, q_begin, std::min(q_begin + 24, seqlen_q));
        expect_key_blocks<32>(mask, q_begin, std::min(q_begin + 24, seqlen_q));
      }
    }
  }
}

}  // namespace
}  // namespace attnlab::testing
