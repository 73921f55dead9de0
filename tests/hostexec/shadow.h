// Who touched two bytes of memory last. For the race checker only.
#pragma once

#include <array>
#include <cstdint>

#include "hostexec/race.h"

namespace attnlab::hostexec {

/// A thread and how far it had got; 0 is nobody.
struct Epoch {
  static constexpr int kClockBits = 21;
  static constexpr std::uint32_t kMaxClock = (1u << kClockBits) - 1;
  std::uint32_t bits = 0;

  static Epoch of(int thread, std::uint32_t clock) {
    return {static_cast<std::uint32_t>(thread) << kClockBits | clock};
  }
  int thread() const { return static_cast<int>(bits >> kClockBits); }
  std::uint32_t clock() const { return bits & kMaxClock; }
  explicit operator bool() const { return bits != 0; }
  bool operator==(const Epoch&) const = default;
};

/// Two bytes, as the block with number `block` of the process left them. 32 bytes: the speed of the
/// checks is the speed of reaching these.
struct Cell {
  std::uint32_t block = 0;
  Epoch write;
  Where write_where;
  /// Reads that no other of the list covers. Where they are more than fit, `has_list`, and the
  /// first is the number of a list with an entry per thread.
  std::array<Epoch, 4> reads;
  std::uint16_t pending_reads = 0;  ///< of asynchronous operations
  bool pending_write = false;
  bool has_list = false;

  std::int32_t list() const { return static_cast<std::int32_t>(reads[0].bits); }
  bool operator==(const Cell&) const = default;
};
static_assert(sizeof(Cell) == 32);

/// Two bytes of a buffer: also which blocks of a launch read or wrote them.
struct GlobalCell {
  static constexpr int kNobody = -1;
  static constexpr int kSeveral = -2;
  Cell cell;
  std::uint32_t launch = 0;
  std::int32_t reader = kNobody;
  std::int32_t writer = kNobody;
  Where writer_where;
};

}  // namespace attnlab::hostexec
