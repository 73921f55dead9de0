// The running state of linear attention: a decaying sum over tokens in three levels, chunk, segment
// and sequence. Segments can be summed apart and joined later with the same bits as in one sweep,
// so that one head can use several workers; three levels also round less than one long sum.
#pragma once

#include "kernels/cpu/lanes/linear_common.h"

namespace attnlab::cpu::ATTNLAB_ISA_NAMESPACE {

/// Tokens of a segment.
inline constexpr std::int64_t kSegment = 2048;

inline std::int64_t num_segments(std::int64_t seqlen) { return (seqlen + kSegment - 1) / kSegment; }

/// What a state sums: `rows` x `columns` products, in panels, and behind them one row of sums of
/// the chunk's rows (z, or the sum of c q). All padded dims.
struct StateShape {
  std::int64_t rows, columns, row_columns;

  std::int64_t row_at() const { return rows * columns; }
  std::int64_t size() const { return row_at() + row_columns; }
};

/// total = before * (decay since the segment began) + local. A view of memory that the caller
/// holds.
template <class Acc>
class SegmentedState {
  using V = Lanes<Acc>;

 public:
  /// `buffer`: buffer_size elements.
  SegmentedState(const StateShape& shape, Acc* buffer)
      : shape_(shape),
        total_(buffer),
        before_(buffer + shape.size()),
        local_(buffer + 2 * shape.size()),
        notes_(buffer + 3 * shape.size()) {}

  static std::int64_t buffer_size(const StateShape& shape) { return 3 * shape.size() + kNotes; }

  /// In front of the first token.
  void clear() {
    fill_zero(local_, shape_.size());
    notes_[kJoined] = 0;
    notes_[kSinceStart] = 1;
  }

  /// `total`: what stood at the end of the segment before.
  void begin_segment(const Acc* total) {
    copy_row(total, before_, shape_.size());
    copy_row(before_, total_, shape_.size());
    fill_zero(local_, shape_.size());
    notes_[kJoined] = 1;
    notes_[kSinceStart] = 1;
  }
  void begin_next_segment() { begin_segment(total()); }

  const Acc* total() const { return joined() ? total_ : local_; }
  const Acc* row() const { return total() + shape_.row_at(); }
  const Acc* local() const { return local_; }
  Acc since_start() const { return notes_[kSinceStart]; }

  /// next = total at the end of a segment, from the total before it and its local sum: the
  /// operations of the sweep.
  static void join(const StateShape& shape, const Acc* total, Acc decay, const Acc* local,
                   Acc* next) {
    for (std::int64_t i = 0; i < shape.size(); i += V::kSize) {
      fma(V::load(total + i), V(decay), V::load(local + i)).store(next + i);
    }
  }

  /// Takes in a chunk: A^T B, A = [kChunk][rows], B = [kChunk][columns], and `row`; `decay` of the
  /// chunk is what becomes of the sums so far.
  void add_chunk(const Acc* a, const Acc* b, const Acc* row, Acc decay, Ahead ahead) {
    notes_[kSinceStart] *= decay;
    const Update update{
        local_, joined() ? before_ : nullptr, total_, shape_.rows, V(decay), V(since_start())};
    const ChunkOperands<Acc> op{
        .pairs = {}, .state = {a, shape_.rows, b, shape_.columns, kChunk}, .ahead = &ahead};
    chunk_product<Acc, ALayout::kColumns>(shape_.rows, shape_.columns / V::kSize, op, false,
                                          update);
    for (std::int64_t c = 0; c < shape_.row_columns; c += V::kSize) {
      update.at(shape_.row_at() + c, V::load(row + c));
    }
  }

  /// Products with shift[r] * row added to row r: what moving the center of the rows' factors does.
  void shift_rows(const Acc* shift) {
    if (joined()) shift_rows(shape_, shift, before_);
    shift_rows(shape_, shift, joined() ? total_ : local_);
  }

  static void shift_rows(const StateShape& shape, const Acc* shift, Acc* state) {
    const Acc* row = state + shape.row_at();
    const std::int64_t vectors = shape.columns / V::kSize;
    for (std::int64_t block = 0, width = 0; block < vectors; block += width) {
      width = block_vectors(vectors - block);
      for (std::int64_t r = 0; r < shape.rows; ++r) {
        Acc* at = state + (block * shape.rows + r * width) * V::kSize;
        decay_and_add(at, Acc(1), row + block * V::kSize, shift[r], width * V::kSize);
      }
    }
  }

 private:
  static constexpr std::int64_t kJoined = 0, kSinceStart = 1, kNotes = 16;

  struct Update {
    Acc* local;
    const Acc* before;  ///< null in the first segment, where the local sum is the total
    Acc* total;
    std::int64_t rows;
    V decay, since_start;

    ATTNLAB_INLINE void operator()(const Place& place, V sum) const {
      at(place.in_panels(rows) * V::kSize, sum);
    }
    ATTNLAB_INLINE void at(std::int64_t index, V sum) const {
      const V sum_of_segment = fma(V::load(local + index), decay, sum);
      sum_of_segment.store(local + index);
      if (before == nullptr) return;
      fma(V::load(before + index), since_start, sum_of_segment).store(total + index);
    }
  };

  bool joined() const { return notes_[kJoined] != Acc(0); }

  StateShape shape_;
  Acc *total_, *before_, *local_, *notes_;
};

/// Memory for the state of every segment but one of every head: first its local sums, then, joined
/// in order, the totals. With room for `extra` numbers more.
template <class Acc>
class SegmentStates {
 public:
  SegmentStates(Arena& arena, const StateShape& shape, std::int64_t heads, std::int64_t segments,
                std::int64_t extra = 0)
      : shape_(shape),
        segments_(segments),
        slot_(shape.size() + extra + kDecay),
        data_(arena.take<Acc>(heads * (segments - 1) * slot_)) {}

  Acc* of(std::int64_t head, std::int64_t segment) const {
    return data_ + (head * (segments_ - 1) + segment) * slot_;
  }
  Acc* extra(std::int64_t head, std::int64_t segment) const {
    return of(head, segment) + shape_.size();
  }

  /// The local sums and the decay of a segment.
  void keep(std::int64_t head, std::int64_t segment, const SegmentedState<Acc>& state) const {
    copy_row(state.local(), of(head, segment), shape_.size());
    decay(head, segment) = state.since_start();
  }

  /// Makes local sums the total, given the total before them.
  void join(std::int64_t head, std::int64_t segment, const Acc* total) const {
    Acc* slot = of(head, segment);
    SegmentedState<Acc>::join(shape_, total, decay(head, segment), slot, slot);
  }

 private:
  static constexpr std::int64_t kDecay = 16;  ///< one number, and what aligns the next slot

  Acc& decay(std::int64_t head, std::int64_t segment) const {
    return of(head, segment)[slot_ - kDecay];
  }

  StateShape shape_;
  std::int64_t segments_, slot_;
  Acc* data_;
};

/// The transpose of the products of a state, in panels too.
template <class Acc>
inline void transpose_state(const StateShape& shape, const Acc* state, Acc* transposed) {
  constexpr std::int64_t kSize = Lanes<Acc>::kSize;
  const std::int64_t vectors = shape.columns / kSize;
  const std::int64_t vectors_of_rows = shape.rows / kSize;
  for (std::int64_t block = 0, width = 0; block < vectors; block += width) {
    width = block_vectors(vectors - block);
    for (std::int64_t to = 0, to_width = 0; to < vectors_of_rows; to += to_width) {
      to_width = block_vectors(vectors_of_rows - to);
      // Rows to * kSize ... of the panel become columns of the panel `to` of the transpose.
      transpose(state + (block * shape.rows + to * kSize * width) * kSize, width * kSize,
                to_width * kSize, width * kSize,
                transposed + (to * shape.columns + block * kSize * to_width) * kSize,
                to_width * kSize);
    }
  }
}

}  // namespace attnlab::cpu::ATTNLAB_ISA_NAMESPACE
