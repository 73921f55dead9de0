#include "hostexec/race.h"

#include <algorithm>
#include <bit>

#include "hostexec/checker.h"

extern "C" const char __executable_start;
extern "C" const char _end;

namespace attnlab::hostexec {
namespace {

constexpr std::uint32_t kIsSite = 1u << 31;

std::uintptr_t program_begin() { return reinterpret_cast<std::uintptr_t>(&__executable_start); }

/// Constants of the program: kernels may read them, as they may read constants on a device.
bool in_program(std::uintptr_t address) {
  return address >= program_begin() && address < reinterpret_cast<std::uintptr_t>(&_end);
}

void check_alignment(const Request& request, int bytes, int alignment) {
  if (request.address % static_cast<std::uintptr_t>(alignment) == 0) return;
  fail("misaligned: an access of " + std::to_string(bytes) + " bytes at " + request.where.text() +
       " to " + place_text(request.address) + ", which is no multiple of " +
       std::to_string(alignment));
}

void join(std::vector<std::uint32_t>& into, const std::uint32_t* from, int count) {
  into.resize(static_cast<std::size_t>(count));
  for (int i = 0; i < count; ++i)
    into[static_cast<std::size_t>(i)] = std::max(into[static_cast<std::size_t>(i)], from[i]);
}

void join(std::uint32_t* into, const std::vector<std::uint32_t>& from) {
  for (std::size_t i = 0; i < from.size(); ++i) into[i] = std::max(into[i], from[i]);
}

}  // namespace

// Both lie in the program, whose size is far below 2 GB.
Where::Where(const Site& site)
    : bits_(static_cast<std::uint32_t>(std::bit_cast<std::uintptr_t>(site) - program_begin()) |
            kIsSite) {}
Where::Where(const void* instruction)
    : bits_(static_cast<std::uint32_t>(reinterpret_cast<std::uintptr_t>(instruction) -
                                       program_begin())) {}

std::string Where::text() const {
  const std::uintptr_t address = program_begin() + (bits_ & ~kIsSite);
  if ((bits_ & kIsSite) != 0) return describe(std::bit_cast<Site>(address));
  return line_of(reinterpret_cast<const void*>(address));
}

void Clock::clear() {
  seen.clear();
  fenced.clear();
}

void check_access(int thread, const void* address, int bytes, int alignment, Access access,
                  const Where& where) {
  const Request request = request_of(thread, access, Proxy::kGeneric, where, address);
  if (on_thread_stack(request.address)) return;
  if (access == Access::kRead && in_program(request.address)) return;
  check_alignment(request, bytes, alignment);
  const std::uint32_t* const known = request.seen;
  const Epoch own = Epoch::of(thread, known[thread]);
  for_each_cell(request, bytes, [&](Cell& cell, const Request& part) {
    if (is_repeated(cell, own, access)) return;
    check_cell(cell, part);
    if (access == Access::kRead) {
      remember_read(cell, thread, own.clock(), known);
    } else {
      remember_write(cell, own, where);
    }
  });
}

void check_access(const void* address, int bytes, int alignment, Access access,
                  const Where& where) {
  check_access(position().thread, address, bytes, alignment, access, where);
}

void check_atomic(void* address, int bytes, const Where& where) {
  const Request request =
      request_of(position().thread, Access::kWrite, Proxy::kGeneric, where, address);
  check_alignment(request, bytes, bytes);
  const Checker& c = checker();
  const std::uintptr_t end = request.address + static_cast<std::uintptr_t>(bytes);
  if (request.address >= c.shared_begin && end <= c.shared_end) return;
  const Buffer* const buffer = find_buffer(request.address);
  if (buffer == nullptr || end > buffer->end) out_of_bounds(request, bytes);
}

void require_shared(const void* address, int bytes, const char* operation, const Site& site) {
  const Checker& c = checker();
  const auto first = reinterpret_cast<std::uintptr_t>(address);
  if (first >= c.shared_begin && first + static_cast<std::uintptr_t>(bytes) <= c.shared_end) return;
  const auto offset = static_cast<std::int64_t>(first) - static_cast<std::int64_t>(c.shared_begin);
  fail("out of bounds: " + std::string(operation) + " at " + describe(site) + " of " +
       std::to_string(bytes) + " bytes at byte " + std::to_string(offset) +
       " of shared memory, which has " + std::to_string(c.shared_end - c.shared_begin));
}

void release_to(int thread, Clock& clock) {
  Checker& c = checker();
  std::uint32_t* const own = c.seen_by(thread);
  join(clock.seen, own, c.parties);
  if (c.fences_used) join(clock.fenced, c.fenced_by(thread), c.parties);
  if (++own[thread] > Epoch::kMaxClock) fail("more barriers than the race checker can count");
}

void release_to(Clock& clock) { release_to(position().thread, clock); }

void acquire_from(int thread, const Clock& clock) {
  Checker& c = checker();
  join(c.seen_by(thread), clock.seen);
  join(c.fenced_by(thread), clock.fenced);
}

void acquire_from(const Clock& clock) { acquire_from(position().thread, clock); }

void fence_to_async_proxy() {
  const Unwatched pause;
  Checker& c = checker();
  c.fences_used = true;
  const int thread = position().thread;
  std::uint32_t* const seen = c.seen_by(thread);
  std::uint32_t* const fenced = c.fenced_by(thread);
  for (int i = 0; i < c.parties; ++i) fenced[i] = std::max(fenced[i], seen[i]);
  // Later writes are not covered.
  if (++seen[thread] > Epoch::kMaxClock) fail("more fences than the race checker can count");
}

void begin_launch_checks() { ++checker().launch; }

void begin_block_checks(int block, int threads, std::byte* shared, int shared_bytes) {
  Checker& c = checker();
  ++c.block;
  c.block_of_launch = block;
  c.threads = threads;
  c.parties = threads + kAgents;
  c.fences_used = false;
  c.num_agents = 0;
  c.agent_clocks.assign(kAgents, 0u);
  c.shared_begin = reinterpret_cast<std::uintptr_t>(shared);
  c.shared_end = c.shared_begin + static_cast<std::uintptr_t>(shared_bytes);
  c.shared_cells.resize(static_cast<std::size_t>((shared_bytes + kCellBytes - 1) / kCellBytes));
  c.seen.assign(c.index(threads + 1), 0u);
  c.fenced.assign(c.index(threads + 1), 0u);
  for (int i = 0; i < threads; ++i) c.seen_by(i)[i] = 1;
  c.num_lists = 0;
}

}  // namespace attnlab::hostexec
