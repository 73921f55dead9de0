// cp.async: bytes arrive at some time between the instruction and the wait for its group. Until
// then the destination holds NaN bits.
#include <cstring>

#include "hostexec/copy.h"
#include "hostexec/machine.h"

namespace attnlab::hostexec {
namespace {

void land(AsyncCopy& copy, int thread) {
  if (copy.landed) return;
  copy.landed = true;
  if (copy.valid) {
    check_access(thread, copy.global, copy.bytes, copy.bytes, Access::kRead, Where(copy.site));
    std::memcpy(copy.shared, copy.global, static_cast<std::size_t>(copy.bytes));
  } else {
    std::memset(copy.shared, 0, static_cast<std::size_t>(copy.bytes));
  }
}

}  // namespace

void copy_async(void* shared, const void* global, int bytes, bool valid, const Site& site) {
  const Unwatched pause;
  Machine& m = machine();
  const int thread = m.position.thread;
  require_shared(shared, bytes, "copy_async", site);
  if (reinterpret_cast<std::uintptr_t>(global) % static_cast<std::uintptr_t>(bytes) != 0 ||
      reinterpret_cast<std::uintptr_t>(shared) % static_cast<std::uintptr_t>(bytes) != 0) {
    fail("copy_async of " + std::to_string(bytes) + " bytes at " + describe(site) +
         ": an address is no multiple of that");
  }
  if (valid) check_access(thread, global, bytes, bytes, Access::kRead, Where(site));
  async_begin(shared, bytes, Access::kWrite, Proxy::kGeneric, Where(site));
  std::memset(shared, 0xff, static_cast<std::size_t>(bytes));
  AsyncCopy copy{static_cast<std::byte*>(shared),
                 static_cast<const std::byte*>(global),
                 bytes,
                 valid,
                 false,
                 site};
  const Completion completion = m.schedule.completion;
  if (completion == Completion::kEarliest || (completion == Completion::kRandom && draw(0.5))) {
    land(copy, thread);
  }
  m.current().open_group.push_back(copy);
}

void commit_copies() {
  const Unwatched pause;
  Thread& thread = machine().current();
  thread.groups.push_back(std::move(thread.open_group));
  thread.open_group.clear();
}

void wait_for_copies(int pending_groups) {
  const Unwatched pause;
  const int index = machine().position.thread;
  auto& groups = machine().current().groups;
  while (static_cast<int>(groups.size()) > pending_groups) {
    for (AsyncCopy& copy : groups.front()) {
      land(copy, index);
      async_end_for(index, copy.shared, copy.bytes, Where(copy.site));
    }
    groups.erase(groups.begin());
  }
}

}  // namespace attnlab::hostexec
