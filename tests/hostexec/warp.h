// Host side of kernels/cuda/ptx/warp.h.
#pragma once

#include <cstdint>
#include <type_traits>

#include "hostexec/thread.h"
#include "kernels/core/dtype.h"

namespace attnlab::hostexec {

/// Every lane receives `bits` of the lane that it names in `source`.
struct Exchange {
  std::uint64_t bits = 0;
  std::uint64_t received = 0;
  int source = 0;
};
void exchange(const char* name, Exchange& own, const Site& site);
unsigned vote(const char* name, bool predicate, const Site& site);
/// 2^x; results below the smallest normal number are 0.
float exp2_flushed(float x);
int add_atomically(void* address, int value, const Site& site);

template <class T>
T take(const char* name, T value, int source, const Site& site) {
  static_assert(std::is_arithmetic_v<T> && (sizeof(T) == 4 || sizeof(T) == 8));
  using Bits = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;
  Exchange own{std::bit_cast<Bits>(value), 0, source};
  exchange(name, own, site);
  return std::bit_cast<T>(static_cast<Bits>(own.received));
}

}  // namespace attnlab::hostexec

namespace attnlab::cuda {

inline constexpr unsigned kFullWarp = 0xffffffffu;

inline void sync_warp(const hostexec::Site& site = hostexec::Site::current()) {
  hostexec::warp_barrier(site);
}

template <class T>
T shuffle_xor(T value, int lane_mask, const hostexec::Site& site = hostexec::Site::current()) {
  return hostexec::take("shuffle_xor", value, lane_idx() ^ lane_mask, site);
}
template <class T>
T shuffle(T value, int source_lane, const hostexec::Site& site = hostexec::Site::current()) {
  return hostexec::take("shuffle", value, source_lane, site);
}
template <class T>
T shuffle_up(T value, int delta, const hostexec::Site& site = hostexec::Site::current()) {
  const int source = lane_idx() - delta;
  return hostexec::take("shuffle_up", value, source < 0 ? lane_idx() : source, site);
}
template <class T>
T shuffle_down(T value, int delta, const hostexec::Site& site = hostexec::Site::current()) {
  const int source = lane_idx() + delta;
  return hostexec::take("shuffle_down", value, source > 31 ? lane_idx() : source, site);
}

inline unsigned ballot(bool predicate, const hostexec::Site& site = hostexec::Site::current()) {
  return hostexec::vote("ballot", predicate, site);
}
inline bool any_in_warp(bool predicate, const hostexec::Site& site = hostexec::Site::current()) {
  return hostexec::vote("any_in_warp", predicate, site) != 0;
}
inline bool all_in_warp(bool predicate, const hostexec::Site& site = hostexec::Site::current()) {
  return hostexec::vote("all_in_warp", predicate, site) == kFullWarp;
}

inline float exp2_approx(float x) { return hostexec::exp2_flushed(x); }

template <class T>
std::uint32_t pack2(float low, float high) {
  static_assert(std::is_same_v<T, bfloat16> || std::is_same_v<T, float16>);
  if constexpr (std::is_same_v<T, bfloat16>) {
    return to_bfloat16(low).bits | static_cast<std::uint32_t>(to_bfloat16(high).bits) << 16;
  } else {
    return to_float16(low).bits | static_cast<std::uint32_t>(to_float16(high).bits) << 16;
  }
}
template <class T>
float unpack_low(std::uint32_t pair) {
  return to_float(T{static_cast<std::uint16_t>(pair)});
}
template <class T>
float unpack_high(std::uint32_t pair) {
  return to_float(T{static_cast<std::uint16_t>(pair >> 16)});
}

template <class T>
T atomic_add(T* address, T value, const hostexec::Site& site = hostexec::Site::current()) {
  static_assert(std::is_same_v<T, int> || std::is_same_v<T, unsigned>);
  return static_cast<T>(hostexec::add_atomically(address, static_cast<int>(value), site));
}

}  // namespace attnlab::cuda
