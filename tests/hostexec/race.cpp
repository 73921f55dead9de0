#include "hostexec/race.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>

#include "hostexec/machine.h"
#include "hostexec/memory.h"
#include "hostexec/shadow.h"

extern "C" const char __executable_start;
extern "C" const char _end;

namespace attnlab::hostexec {
namespace {

constexpr int kCellBytes = 2;
constexpr std::uint32_t kIsSite = 1u << 31;

struct Checker {
  std::uint32_t launch = 0;
  std::uint32_t block = 0;  ///< of all launches
  int block_of_launch = 0;
  int threads = 0;
  int parties = 0;  ///< threads, and agents of asynchronous operations
  bool fences_used = false;
  int num_agents = 0;
  std::vector<std::uint32_t> agent_clocks;
  std::uintptr_t shared_begin = 0;
  std::uintptr_t shared_end = 0;
  std::vector<std::uint32_t> seen;    ///< [thread][party]; the last row is a group's
  std::vector<std::uint32_t> fenced;  ///< the same, for the async proxy
  std::vector<Cell> shared_cells;
  std::vector<std::uint32_t> lists;  ///< of reads: one entry per party
  std::int32_t num_lists = 0;

  std::uint32_t* seen_by(int thread) { return &seen[index(thread)]; }
  std::uint32_t* fenced_by(int thread) { return &fenced[index(thread)]; }
  std::uint32_t* list(std::int32_t i) { return &lists[index(i)]; }
  std::size_t index(int row) const {
    return static_cast<std::size_t>(row) * static_cast<std::size_t>(parties);
  }
};

Checker the_checker;
Checker& checker() { return the_checker; }

// More agents share clocks: what one of them has done then looks like the other's too.
constexpr int kAgents = 24;

/// One access while it is checked. `thread` is not one for operations of several threads.
struct Request {
  int thread;
  Access access;
  Proxy proxy;
  Where where;
  std::uintptr_t address;
  const std::uint32_t* seen;
  const std::uint32_t* fenced;
};

Request request_of(int thread, Access access, Proxy proxy, const Where& where,
                   const void* address) {
  Checker& c = checker();
  return {thread,
          access,
          proxy,
          where,
          reinterpret_cast<std::uintptr_t>(address),
          c.seen_by(thread),
          c.fenced_by(thread)};
}

std::string party_text(int thread) {
  if (thread >= checker().threads) return "an asynchronous operation";
  return "thread " + std::to_string(thread) + " (warp " + std::to_string(thread / kWarp) +
         ", lane " + std::to_string(thread % kWarp) + ")";
}

std::string place_text(std::uintptr_t address) {
  const Checker& c = checker();
  if (address >= c.shared_begin && address < c.shared_end) {
    return "shared memory byte " + std::to_string(address - c.shared_begin);
  }
  const Buffer* const buffer = find_buffer(address);
  if (buffer == nullptr) return "unknown memory";
  return "byte " + std::to_string(address - buffer->begin) + " of a buffer of " +
         std::to_string(buffer->end - buffer->begin);
}

[[noreturn]] void conflict(const Request& request, const std::string& other) {
  fail("race: " + party_text(request.thread) +
       (request.access == Access::kRead ? " reads " : " writes ") + place_text(request.address) +
       " at " + request.where.text() + ", not ordered with " + other);
}

bool is_ordered(Epoch epoch, const Request& request) {
  const int by = epoch.thread();
  const bool needs_fence = request.proxy == Proxy::kAsync && by < checker().threads;
  return epoch.clock() <= (needs_fence ? request.fenced : request.seen)[by];
}

void refresh(Cell& cell) {
  if (cell.block == checker().block) return;
  cell = Cell{};
  cell.block = checker().block;
}

void check_against_write(const Cell& cell, const Request& request) {
  if (cell.pending_write) {
    conflict(request,
             "an asynchronous write that is not waited for, started at " + cell.write_where.text());
  }
  if (!cell.write || is_ordered(cell.write, request)) return;
  const int by = cell.write.thread();
  const bool only_fence = request.proxy == Proxy::kAsync && cell.write.clock() <= request.seen[by];
  conflict(request, "the write by " + party_text(by) + " at " + cell.write_where.text() +
                        (only_fence ? ": fence_proxy_async is missing" : ""));
}

void check_against_reads(const Cell& cell, const Request& request) {
  if (cell.pending_reads > 0) {
    conflict(request, "the read of an asynchronous operation that is not waited for");
  }
  Checker& c = checker();
  const auto check = [&](int by, std::uint32_t clock) {
    if (clock <= request.seen[by]) return;
    conflict(request, "an earlier read by " + party_text(by));
  };
  if (!cell.has_list) {
    for (const Epoch read : cell.reads) {
      if (read) check(read.thread(), read.clock());
    }
    return;
  }
  const std::uint32_t* const list = c.list(cell.list());
  for (int by = 0; by < c.parties; ++by) check(by, list[by]);
}

void remember_read(Cell& cell, int thread, std::uint32_t clock, const std::uint32_t* known) {
  Checker& c = checker();
  if (cell.has_list) {
    c.list(cell.list())[thread] = clock;
    return;
  }
  Epoch* place = nullptr;
  for (Epoch& read : cell.reads) {
    // What the reader knows of is covered by its own read.
    if (!read || read.thread() == thread || read.clock() <= known[read.thread()]) {
      if (place == nullptr) place = &read;
      read = Epoch{};
    }
  }
  if (place != nullptr) {
    *place = Epoch::of(thread, clock);
    return;
  }
  const std::int32_t number = c.num_lists++;
  const std::size_t end = c.index(c.num_lists);
  if (c.lists.size() < end) c.lists.resize(2 * end);
  std::uint32_t* const list = c.list(number);
  std::fill_n(list, c.parties, 0u);
  for (const Epoch read : cell.reads) list[read.thread()] = read.clock();
  list[thread] = clock;
  cell.reads = {Epoch{static_cast<std::uint32_t>(number)}};
  cell.has_list = true;
}

void remember_write(Cell& cell, Epoch epoch, const Where& where) {
  cell.write = epoch;
  cell.write_where = where;
  cell.reads = {};
  cell.has_list = false;
}

/// True where the thread did the same before, and nothing was written, or nobody read, since.
bool is_repeated(const Cell& cell, Epoch own, Access access) {
  if (cell.block != checker().block || cell.pending_write) return false;
  if (access == Access::kWrite) {
    return cell.write == own && cell.reads == std::array<Epoch, 4>{} && cell.pending_reads == 0;
  }
  if (cell.has_list) return checker().list(cell.list())[own.thread()] == own.clock();
  return cell.reads[0] == own || cell.reads[1] == own || cell.reads[2] == own ||
         cell.reads[3] == own;
}

void check_cell(Cell& cell, const Request& request) {
  refresh(cell);
  check_against_write(cell, request);
  if (request.access == Access::kWrite) check_against_reads(cell, request);
}

void check_blocks(GlobalCell& global, const Request& request) {
  Checker& c = checker();
  if (global.launch != c.launch) {
    global.launch = c.launch;
    global.reader = global.writer = GlobalCell::kNobody;
  }
  const auto other = [&](std::int32_t block) {
    return block != GlobalCell::kNobody && block != c.block_of_launch;
  };
  if (other(global.writer)) {
    conflict(request, "the write by another block at " + global.writer_where.text());
  }
  if (request.access == Access::kWrite) {
    if (other(global.reader)) conflict(request, "a read by another block");
    global.writer = c.block_of_launch;
    global.writer_where = request.where;
  } else if (global.reader != c.block_of_launch) {
    global.reader = global.reader == GlobalCell::kNobody ? c.block_of_launch : GlobalCell::kSeveral;
  }
}

bool has_list(const Cell& cell) { return cell.has_list; }
bool has_list(const GlobalCell& cell) { return cell.cell.has_list; }

GlobalCell* shadow_of(Buffer& buffer) {
  if (buffer.shadow == nullptr) {
    const std::size_t cells = (buffer.end - buffer.begin + kCellBytes - 1) / kCellBytes;
    buffer.shadow = new GlobalCell[cells];
    buffer.free_shadow = [](void* shadow) { delete[] static_cast<GlobalCell*>(shadow); };
  }
  return static_cast<GlobalCell*>(buffer.shadow);
}

[[noreturn]] void out_of_bounds(const Request& request, int bytes) {
  std::string text = "out of bounds: ";
  text += request.access == Access::kRead ? "reads " : "writes ";
  text += std::to_string(bytes) + " bytes at " + request.where.text() + ", ";
  const Buffer* const before = find_buffer(request.address);
  if (before != nullptr) {
    text += "from " + place_text(request.address);
  } else {
    text += "an address of no buffer and not of shared memory";
  }
  fail(text);
}

/// Calls `visit(cell, i)` for cells [first, last). Cells that were alike stay alike.
template <class C, class Visit>
void visit_cells(C* cells, std::size_t first, std::size_t last, const Visit& visit) {
  C before = cells[first];
  visit(cells[first], first);
  for (std::size_t i = first + 1; i < last; ++i) {
    if (std::memcmp(&cells[i], &before, sizeof(C)) == 0 && !has_list(cells[i - 1])) {
      cells[i] = cells[i - 1];
    } else {
      before = cells[i];
      visit(cells[i], i);
    }
  }
}

/// Calls `visit(cell, request of these bytes)` for every two bytes of the range.
template <class Visit>
void for_each_cell(Request request, int bytes, const Visit& visit) {
  Checker& c = checker();
  const std::uintptr_t first = request.address;
  const std::uintptr_t end = first + static_cast<std::uintptr_t>(bytes);
  if (first >= c.shared_begin && first < c.shared_end) {
    if (end > c.shared_end) out_of_bounds(request, bytes);
    visit_cells(c.shared_cells.data(), (first - c.shared_begin) / kCellBytes,
                (end - c.shared_begin + kCellBytes - 1) / kCellBytes,
                [&](Cell& cell, std::size_t i) {
                  request.address = c.shared_begin + i * kCellBytes;
                  visit(cell, request);
                });
    return;
  }
  Buffer* const buffer = find_buffer(first);
  if (buffer == nullptr || end > buffer->end) out_of_bounds(request, bytes);
  visit_cells(shadow_of(*buffer), (first - buffer->begin) / kCellBytes,
              (end - buffer->begin + kCellBytes - 1) / kCellBytes,
              [&](GlobalCell& cell, std::size_t i) {
                request.address = buffer->begin + i * kCellBytes;
                check_blocks(cell, request);
                visit(cell.cell, request);
              });
}

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

void async_begin(std::span<const Range> ranges, Access access, Proxy proxy, const Issuers& issuers,
                 const Where& where) {
  Checker& c = checker();
  int issuer = issuers.first;
  if (issuers.count > 1) {
    issuer = c.threads;
    for (int by = 0; by < c.parties; ++by) {
      std::uint32_t seen = c.seen_by(issuers.first)[by];
      std::uint32_t fenced = c.fenced_by(issuers.first)[by];
      for (int i = 1; i < issuers.count; ++i) {
        seen = std::min(seen, c.seen_by(issuers.first + i)[by]);
        fenced = std::min(fenced, c.fenced_by(issuers.first + i)[by]);
      }
      c.seen_by(issuer)[by] = seen;
      c.fenced_by(issuer)[by] = fenced;
    }
  }
  for (const Range& range : ranges) {
    const Request request = request_of(issuer, access, proxy, where, range.address);
    for_each_cell(request, range.bytes, [&](Cell& cell, const Request& part) {
      check_cell(cell, part);
      if (access == Access::kRead) {
        ++cell.pending_reads;
      } else {
        cell.pending_write = true;
        cell.write_where = where;
      }
    });
  }
}

void async_begin(const void* address, int bytes, Access access, Proxy proxy, const Where& where) {
  const Range range{address, bytes};
  async_begin({&range, 1}, access, proxy, {position().thread, 1}, where);
}

void async_end(std::span<const Range> ranges, Access access, const Where& where, Clock& done) {
  Checker& c = checker();
  if (done.agent < 0) done.agent = c.threads + c.num_agents++ % kAgents;
  const int agent = done.agent;
  const std::uint32_t clock = ++c.agent_clocks[static_cast<std::size_t>(agent - c.threads)];
  if (clock > Epoch::kMaxClock) fail("more asynchronous operations than the checker can count");
  done.seen.resize(static_cast<std::size_t>(c.parties));
  done.seen[static_cast<std::size_t>(agent)] = clock;
  const std::vector<std::uint32_t> nothing(static_cast<std::size_t>(c.parties), 0u);
  for (const Range& range : ranges) {
    const Request request{agent,
                          access,
                          Proxy::kAsync,
                          where,
                          reinterpret_cast<std::uintptr_t>(range.address),
                          nothing.data(),
                          nothing.data()};
    for_each_cell(request, range.bytes, [&](Cell& cell, const Request&) {
      if (access == Access::kRead) {
        --cell.pending_reads;
        remember_read(cell, agent, clock, nothing.data());
      } else {
        cell.pending_write = false;
        remember_write(cell, Epoch::of(agent, clock), where);
      }
    });
  }
}

void async_end(const void* address, int bytes, Access access, const Where& where, Clock& done) {
  const Range range{address, bytes};
  async_end({&range, 1}, access, where, done);
}

void async_end_for(int thread, const void* address, int bytes, const Where& where) {
  const std::uint32_t now = checker().seen_by(thread)[thread];
  const Request request = request_of(thread, Access::kWrite, Proxy::kGeneric, where, address);
  for_each_cell(request, bytes, [&](Cell& cell, const Request&) {
    cell.pending_write = false;
    remember_write(cell, Epoch::of(thread, now), where);
  });
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
