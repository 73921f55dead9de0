// Which memory a thread may touch, and whether its accesses are ordered against those of others.
// Plain loads and stores report themselves (hooks.cpp); emulated operations report theirs here.
// Happens-before is tracked with vector clocks, as in Flanagan and Freund 2009 (FastTrack), per two
// bytes of shared and of global memory: two threads may write neighbouring 16-bit elements.
// Blocks are never ordered: only one of them may touch bytes that any of them writes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "hostexec/fault.h"

namespace attnlab::hostexec {

enum class Access : std::uint8_t { kRead, kWrite };

/// Who asks memory: threads' own instructions and cp.async, or TMA and wgmma.
enum class Proxy : std::uint8_t { kGeneric, kAsync };

/// A place in a source: a call's Site, or an instruction's address, as an offset from the start of
/// the program. Described only in reports.
class Where {
 public:
  Where() = default;
  explicit Where(const Site& site);
  explicit Where(const void* instruction);
  std::string text() const;
  bool operator==(const Where&) const = default;

 private:
  std::uint32_t bits_ = 0;
};

/// What happened before an event: how far each thread, and each agent of asynchronous operations,
/// had got.
struct Clock {
  std::vector<std::uint32_t> seen;
  std::vector<std::uint32_t> fenced;  ///< the part that is ordered for the async proxy too
  int agent = -1;                     ///< for async_end(): whose operations complete here
  void clear();
};

/// All of the following are about the thread that runs unless `thread` names one.

/// Fails where the bytes belong to no buffer, the address is no multiple of `alignment`, or another
/// thread's access is not ordered with this one.
void check_access(const void* address, int bytes, int alignment, Access access, const Where& where);
void check_access(int thread, const void* address, int bytes, int alignment, Access access,
                  const Where& where);

/// An atomic operation: bounds and alignment only.
void check_atomic(void* address, int bytes, const Where& where);

/// Fails unless the bytes lie in the block's shared memory.
void require_shared(const void* address, int bytes, const char* operation, const Site& site);

/// What the thread did before happens before what follows acquire_from() of the same clock.
void release_to(Clock& clock);
void release_to(int thread, Clock& clock);
void acquire_from(const Clock& clock);
void acquire_from(int thread, const Clock& clock);

/// What the thread knows to have happened is ordered for the async proxy too.
void fence_to_async_proxy();

/// Part of memory.
struct Range {
  const void* address = nullptr;
  int bytes = 0;
};

/// Threads that start an operation together: it is ordered after what every one of them knows.
struct Issuers {
  int first = 0;
  int count = 1;
};

/// An asynchronous operation on shared or global memory starts: until async_end() every conflicting
/// access fails. One of Proxy::kAsync fails where a write by threads is not fenced. Without
/// `issuers`: started by the thread that runs.
void async_begin(std::span<const Range> ranges, Access access, Proxy proxy, const Issuers& issuers,
                 const Where& where);
void async_begin(const void* address, int bytes, Access access, Proxy proxy, const Where& where);
/// The operation is complete. What acquires `done` from now on, and nothing else, may follow it.
void async_end(std::span<const Range> ranges, Access access, const Where& where, Clock& done);
void async_end(const void* address, int bytes, Access access, const Where& where, Clock& done);
/// The same for cp.async: complete for `thread`, which waits.
void async_end_for(int thread, const void* address, int bytes, const Where& where);

/// The emulator calls these. `threads` of a block.
void begin_launch_checks();
void begin_block_checks(int block, int threads, std::byte* shared, int shared_bytes);

}  // namespace attnlab::hostexec
