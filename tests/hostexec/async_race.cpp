// Asynchronous operations: their accesses conflict with everything until they are waited for.
#include <algorithm>

#include "hostexec/checker.h"

namespace attnlab::hostexec {

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

}  // namespace attnlab::hostexec
