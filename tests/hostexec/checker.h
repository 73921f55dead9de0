// The state of the race checker and the rules of a cell. For the checker's own files only.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "hostexec/machine.h"
#include "hostexec/memory.h"
#include "hostexec/race.h"
#include "hostexec/shadow.h"

namespace attnlab::hostexec {

inline constexpr int kCellBytes = 2;

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

extern Checker the_checker;
inline Checker& checker() { return the_checker; }

// More agents share clocks: what one of them has done then looks like the other's too.
inline constexpr int kAgents = 24;

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

inline Request request_of(int thread, Access access, Proxy proxy, const Where& where,
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

/// "thread 37 (warp 1, lane 5)".
std::string party_text(int thread);
/// "shared memory byte 12".
std::string place_text(std::uintptr_t address);
[[noreturn]] void out_of_bounds(const Request& request, int bytes);

/// Fails where the request conflicts with what the cell remembers.
void check_cell(Cell& cell, const Request& request);
void remember_read(Cell& cell, int thread, std::uint32_t clock, const std::uint32_t* known);
void remember_write(Cell& cell, Epoch epoch, const Where& where);

/// True where the thread did the same before, and nothing was written, or nobody read, since.
inline bool is_repeated(const Cell& cell, Epoch own, Access access) {
  if (cell.block != checker().block || cell.pending_write) return false;
  if (access == Access::kWrite) {
    return cell.write == own && cell.reads == std::array<Epoch, 4>{} && cell.pending_reads == 0;
  }
  if (cell.has_list) return checker().list(cell.list())[own.thread()] == own.clock();
  return cell.reads[0] == own || cell.reads[1] == own || cell.reads[2] == own ||
         cell.reads[3] == own;
}

/// Fails where another block of the launch has conflicted with the request; remembers this one.
void check_blocks(GlobalCell& global, const Request& request);

/// The cells of a buffer, made when it is first touched.
GlobalCell* shadow_of(Buffer& buffer);

inline bool has_list(const Cell& cell) { return cell.has_list; }
inline bool has_list(const GlobalCell& cell) { return cell.cell.has_list; }

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

}  // namespace attnlab::hostexec
