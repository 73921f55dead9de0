// What a query may see. The one definition, for every backend and variant.
//
// `keeps` is the meaning; `key_range`, `query_range` and `classify` are derived from it and make
// causal and windowed attention fast, because whole tiles are skipped. A test derives them from
// `keeps` by brute force.
#pragma once

#include <cstdint>

#include "kernels/core/host_device.h"

namespace attnlab {

/// Half-open range of positions; empty where begin >= end.
struct IndexRange {
  std::int64_t begin = 0;
  std::int64_t end = 0;

  ATTNLAB_HOST_DEVICE constexpr bool empty() const { return begin >= end; }
  ATTNLAB_HOST_DEVICE constexpr std::int64_t size() const { return empty() ? 0 : end - begin; }
  constexpr bool operator==(const IndexRange&) const = default;
};

enum class TileKind : std::uint8_t { kSkip, kPartial, kFull };

/// Causal and windows are bottom-right aligned: the last query sits on the last key, so query q has
/// its diagonal at key q + seqlen_k - seqlen_q. `window_left` and `window_right` count keys besides
/// the diagonal one; -1 = no limit. `causal` wins over a positive `window_right`.
struct Mask {
  std::int64_t seqlen_q = 0;
  std::int64_t seqlen_k = 0;
  bool causal = false;
  std::int64_t window_left = -1;
  std::int64_t window_right = -1;

  /// Position of query q among the keys (may be negative where seqlen_q > seqlen_k).
  ATTNLAB_HOST_DEVICE constexpr std::int64_t diagonal(std::int64_t q_idx) const {
    return q_idx + seqlen_k - seqlen_q;
  }

  ATTNLAB_HOST_DEVICE constexpr bool keeps(std::int64_t q_idx, std::int64_t k_idx) const {
    const std::int64_t distance = k_idx - diagonal(q_idx);
    return k_idx >= 0 && k_idx < seqlen_k && (right() < 0 || distance <= right()) &&
           (window_left < 0 || -distance <= window_left);
  }

  /// The keys that at least one query of [q_begin, q_end) sees. Every key inside is seen by one of
  /// them, because each query sees a contiguous range and neighbours' ranges touch.
  ATTNLAB_HOST_DEVICE constexpr IndexRange key_range(std::int64_t q_begin,
                                                     std::int64_t q_end) const {
    if (q_begin >= q_end) return {0, 0};
    const std::int64_t begin = window_left < 0 ? 0 : clamp_key(diagonal(q_begin) - window_left);
    const std::int64_t end = right() < 0 ? seqlen_k : clamp_key(diagonal(q_end - 1) + right() + 1);
    return begin < end ? IndexRange{begin, end} : IndexRange{0, 0};
  }

  /// The queries that see at least one key of [k_begin, k_end).
  ATTNLAB_HOST_DEVICE constexpr IndexRange query_range(std::int64_t k_begin,
                                                       std::int64_t k_end) const {
    k_begin = k_begin < 0 ? 0 : k_begin;
    k_end = k_end > seqlen_k ? seqlen_k : k_end;
    if (k_begin >= k_end) return {0, 0};
    const std::int64_t offset = seqlen_k - seqlen_q;
    const std::int64_t begin = right() < 0 ? 0 : clamp_query(k_begin - right() - offset);
    const std::int64_t end =
        window_left < 0 ? seqlen_q : clamp_query(k_end - 1 + window_left - offset + 1);
    return begin < end ? IndexRange{begin, end} : IndexRange{0, 0};
  }

  /// Whether all, some or none of the pairs of a tile are kept. kPartial may be answered for no
  /// tile that is in truth full or empty.
  ATTNLAB_HOST_DEVICE constexpr TileKind classify(std::int64_t q_begin, std::int64_t q_end,
                                                  std::int64_t k_begin, std::int64_t k_end) const {
    const IndexRange keys = key_range(q_begin, q_end);
    if (keys.empty() || k_begin >= keys.end || k_end <= keys.begin || k_begin >= k_end) {
      return TileKind::kSkip;
    }
    // The first query sees the least to the right, the last query the least to the left.
    const bool full = k_begin >= 0 && k_end <= seqlen_k &&
                      (right() < 0 || k_end - 1 <= diagonal(q_begin) + right()) &&
                      (window_left < 0 || k_begin >= diagonal(q_end - 1) - window_left);
    return full ? TileKind::kFull : TileKind::kPartial;
  }

  /// Number of (query, key) pairs kept; the count that FLOPs are made of.
  constexpr std::int64_t visible_pairs() const {
    if (right() < 0 && window_left < 0) return seqlen_q * seqlen_k;
    std::int64_t pairs = 0;
    for (std::int64_t q = 0; q < seqlen_q; ++q) pairs += key_range(q, q + 1).size();
    return pairs;
  }

 private:
  ATTNLAB_HOST_DEVICE constexpr std::int64_t right() const { return causal ? 0 : window_right; }
  ATTNLAB_HOST_DEVICE constexpr std::int64_t clamp_key(std::int64_t k) const {
    return k < 0 ? 0 : k > seqlen_k ? seqlen_k : k;
  }
  ATTNLAB_HOST_DEVICE constexpr std::int64_t clamp_query(std::int64_t q) const {
    return q < 0 ? 0 : q > seqlen_q ? seqlen_q : q;
  }
};

}  // namespace attnlab
