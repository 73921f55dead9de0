// Rules of a cell: what may follow what.
#include <algorithm>

#include "hostexec/checker.h"

namespace attnlab::hostexec {

Checker the_checker;

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

void out_of_bounds(const Request& request, int bytes) {
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

namespace {

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

}  // namespace

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

GlobalCell* shadow_of(Buffer& buffer) {
  if (buffer.shadow == nullptr) {
    const std::size_t cells = (buffer.end - buffer.begin + kCellBytes - 1) / kCellBytes;
    buffer.shadow = new GlobalCell[cells];
    buffer.free_shadow = [](void* shadow) { delete[] static_cast<GlobalCell*>(shadow); };
  }
  return static_cast<GlobalCell*>(buffer.shadow);
}

}  // namespace attnlab::hostexec
