// Backward on sm_90a: tile sizes, shared memory, parameters, and the walk of a block.
//
// dQ of a tile of queries over all keys, and dK and dV of a tile of keys over all queries that see
// it, are the same walk with the roles exchanged: rows are what a block keeps (Q and dO, or K and
// V), columns what streams past it (K and V, or Q and dO). "a" is the operand that makes the
// scores, "b" the one that makes dP = dO V^T. This makes scores and dP twice: 7 products where one
// pass needs 5 (Shah et al. 2024, FlashAttention-3, arXiv 2407.08608, section 3.1, which adds up dQ
// in global memory). It needs neither atomics nor an order between blocks: every sum has one order.
#pragma once

#include "kernels/cuda/device/backward_rows.cuh"
#include "kernels/cuda/hopper/shared_tile.cuh"

namespace attnlab::cuda::hopper {

enum class GradientOf { kQueries, kKeysAndValues };

/// Two warpgroups of 64 rows each against kColumnsOf columns at a time, head dimensions up to
/// kDimension. Registers of a thread: scores and dP (kColumns / 2 each), their 16-bit copies
/// (kColumns / 4 each) and one or two sums (kDim / 2 each).
template <class Element, int kDimension, int kColumnsOf>
struct BackwardTile {
  using T = Element;
  static constexpr int kDim = kDimension;
  static constexpr int kGroups = 2;
  static constexpr int kRows = kGroups * kGroupRows;
  static constexpr int kColumns = kColumnsOf;
  static constexpr int kPanels = kDim / kPanel;
  static constexpr int kThreads = (1 + kGroups) * kWarpgroup;
  static constexpr int kProducerRegisters = 24;
  static constexpr int kConsumerRegisters = 240;

  static constexpr int kRowPanelBytes = kGroupRows * kPanelRowBytes;
  static constexpr int kRowBytes = kPanels * kRowPanelBytes;  ///< of one group and operand
  static constexpr int kColumnPanelBytes = kColumns * kPanelRowBytes;
  static constexpr int kColumnBytes = kPanels * kColumnPanelBytes;  ///< of one stage and operand

  static_assert(kProducerRegisters + kGroups * kConsumerRegisters <=
                65536 / kThreads / 8 * 8 * (1 + kGroups));
  static_assert(kDim % kPanel == 0 && kColumns % 16 == 0 && kColumnPanelBytes % 1024 == 0);
};

struct BackwardBarriers {
  Mbarrier rows_full;
  Mbarrier columns_full[kStages];     ///< both operands have arrived
  Mbarrier columns_checked[kStages];  ///< terms are there, partial blocks have been looked at
  Mbarrier columns_empty[kStages];
  /// By checking warp, written before it arrives at columns_checked: non-zero where a partial block
  /// has a NaN or an infinity.
  int non_finite[kStages][kCheckingWarps];
};

/// What the kernel knows besides the tensor maps.
template <class T>
struct BackwardParams {
  AttentionShape shape;
  MaskOptions mask;
  RowStatistics statistics;
  TypedView<const T> columns[2];  ///< by operand; for the repair of sums only
  int heads_per_kv_head = 1;
  float scale = 1.0f;
};

/// The rows of one block and the columns that they meet: for keys those of all heads of their
/// group, one head after the other. Kept in shared memory: consumers have no registers for it.
template <class Tile, GradientOf kOf>
struct BackwardWalk {
  static constexpr bool kRowsAreQueries = kOf == GradientOf::kQueries;

  int batch_idx;
  int row_head;
  int row_begin;
  int row_end;       ///< behind the last row that exists; keys beyond seqlens_k do not
  int column_head;   ///< the first one
  int column_heads;  ///< 0 where there are no columns
  int columns_begin;
  int columns_end;
  int full_begin;  ///< columns that all rows of the tile meet
  int full_end;

  template <class Params>
  __device__ void start(const Params& params, int block) {
    const AttentionShape& shape = params.shape;
    const int seqlen = static_cast<int>(kRowsAreQueries ? shape.seqlen_q : shape.seqlen_k);
    const int heads = static_cast<int>(kRowsAreQueries ? shape.heads : shape.kv_heads);
    const int tiles = (seqlen + Tile::kRows - 1) / Tile::kRows;
    batch_idx = block / tiles / heads;
    row_head = block / tiles % heads;
    column_head =
        kRowsAreQueries ? row_head / params.heads_per_kv_head : row_head * params.heads_per_kv_head;
    // Under a causal mask the last queries and the first keys have most to do: they start first.
    const int tile = block % tiles;
    row_begin = (kRowsAreQueries ? tiles - 1 - tile : tile) * Tile::kRows;
    const Mask mask = params.mask.mask(shape, batch_idx);
    const int rows = static_cast<int>(kRowsAreQueries ? mask.seqlen_q : mask.seqlen_k);
    row_end = row_begin + Tile::kRows < rows ? row_begin + Tile::kRows : rows;
    const IndexRange columns = range(mask, row_begin, row_end);
    columns_begin = static_cast<int>(columns.begin);
    columns_end = static_cast<int>(columns.end);
    column_heads = columns.empty() ? 0 : kRowsAreQueries ? 1 : params.heads_per_kv_head;
    find_full(mask);
  }

  /// The columns that rows [begin, end) meet.
  __device__ static IndexRange range(const Mask& mask, int begin, int end) {
    return kRowsAreQueries ? mask.key_range(begin, end) : mask.query_range(begin, end);
  }

  /// Calls function(head, first column, whether a pair may be masked) for the column blocks, in the
  /// same order in every role.
  template <class F>
  __device__ __forceinline__ void for_each_block(const F& function) const {
#pragma unroll 1
    for (int head = column_head; head < column_head + column_heads; ++head) {
#pragma unroll 1
      for (int begin = columns_begin; begin < columns_end; begin += Tile::kColumns) {
        function(head, begin, begin < full_begin || begin + Tile::kColumns > full_end);
      }
    }
  }

 private:
  __device__ void find_full(const Mask& mask) {
    // The first and the last row meet least, one at each end.
    const IndexRange first = range(mask, row_begin, row_begin + 1);
    const IndexRange last = range(mask, row_end - 1, row_end);
    full_begin = static_cast<int>(first.begin > last.begin ? first.begin : last.begin);
    full_end = static_cast<int>(first.end < last.end ? first.end : last.end);
    if (first.empty() || last.empty()) full_end = full_begin;
    if constexpr (!kRowsAreQueries) {
      // Keys that do not exist meet nothing. Queries beyond the end are masked by full_end: scores
      // of 0 would be NaN against a key of infinities.
      if (row_end < row_begin + Tile::kRows) full_end = full_begin;
    }
  }
};

/// The columns that a row meets, half open.
struct ColumnRange {
  int begin;
  int end;
};

/// The dynamic shared memory of a block; all tiles 1024-byte aligned.
template <class Tile, GradientOf kOf>
struct BackwardShared {
  using Walk = BackwardWalk<Tile, kOf>;
  static constexpr int kRowsAt = 0;
  static constexpr int kColumnsAt = 2 * Tile::kGroups * Tile::kRowBytes;
  static constexpr int kTermsAt = kColumnsAt + 2 * kStages * Tile::kColumnBytes;
  static constexpr int kTermsBytes = Tile::kColumns * static_cast<int>(sizeof(QueryTerms));
  static constexpr int kRangesAt = kTermsAt + kStages * kTermsBytes;
  static constexpr int kBarriersAt =
      kRangesAt + Tile::kRows * static_cast<int>(sizeof(ColumnRange));
  static constexpr int kWalkAt = kBarriersAt + static_cast<int>(sizeof(BackwardBarriers));
  static constexpr int kBytes = kWalkAt + static_cast<int>(sizeof(Walk));

  std::byte* base;

  /// Operand 0 is a, 1 is b.
  __device__ std::byte* rows(int operand, int group) const {
    return base + kRowsAt + (operand * Tile::kGroups + group) * Tile::kRowBytes;
  }
  __device__ std::byte* columns(int operand, int stage) const {
    return base + kColumnsAt + (operand * kStages + stage) * Tile::kColumnBytes;
  }
  /// Of the columns of a stage, where those are queries.
  __device__ QueryTerms* terms(int stage) const {
    return reinterpret_cast<QueryTerms*>(base + kTermsAt + stage * kTermsBytes);
  }
  /// By row of the tile. Only partial blocks need them: not worth registers.
  __device__ ColumnRange* ranges() const {
    return reinterpret_cast<ColumnRange*>(base + kRangesAt);
  }
  __device__ BackwardBarriers& barriers() const {
    return *reinterpret_cast<BackwardBarriers*>(base + kBarriersAt);
  }
  /// Written by one thread before the first barrier of the block.
  __device__ Walk& walk() const { return *reinterpret_cast<Walk*>(base + kWalkAt); }
};

}  // namespace attnlab::cuda::hopper
