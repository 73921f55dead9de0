// Operations of a warp: what lanes bring, and what they receive.
#include <cmath>
#include <limits>

#include "hostexec/machine.h"
#include "hostexec/warp.h"

namespace attnlab::hostexec {
namespace {

std::string lanes_text(const Machine& m, int first_thread) {
  std::string text;
  for (int lane = 0; lane < kWarp; ++lane) {
    if (m.threads[static_cast<std::size_t>(first_thread + lane)].state == State::kCollective) {
      text += (text.empty() ? "" : ",") + std::to_string(lane);
    }
  }
  return text;
}

}  // namespace

void warp_collective(const char* name, void* operands, void (*operation)(void* const* lanes),
                     const Site& site) {
  const Unwatched pause;
  Machine& m = machine();
  const int first = m.position.thread / kWarp * kWarp;
  Warp& warp = m.warp_of(first);
  if (warp.arrived == 0) {
    warp.collective = name;
    warp.site = site;
  } else if (warp.site.file_name() != site.file_name() || warp.site.line() != site.line() ||
             warp.site.column() != site.column() || warp.collective != std::string_view(name)) {
    fail("lanes of a warp disagree: this one is at " + std::string(name) + " (" + describe(site) +
         "), lanes " + lanes_text(m, first) + " at " + warp.collective + " (" +
         describe(warp.site) + ")");
  }
  m.current().operands = operands;
  if (++warp.arrived < kWarp) {
    wait_here(State::kCollective, name, site);
    return;
  }
  warp.arrived = 0;
  void* all[kWarp];
  for (int lane = 0; lane < kWarp; ++lane) {
    all[lane] = m.threads[static_cast<std::size_t>(first + lane)].operands;
  }
  if (operation != nullptr) operation(all);
  for (int lane = 0; lane < kWarp; ++lane) {
    if (first + lane != m.position.thread) make_ready(first + lane);
  }
}

void warp_barrier(const Site& site) {
  const Unwatched pause;
  struct Own {
    Clock* clock;
    int thread;
  } own{nullptr, machine().position.thread};
  warp_collective(
      "sync_warp", &own,
      [](void* const* lanes) {
        Clock all;
        for (int lane = 0; lane < kWarp; ++lane) {
          release_to(static_cast<Own*>(lanes[lane])->thread, all);
        }
        for (int lane = 0; lane < kWarp; ++lane) {
          acquire_from(static_cast<Own*>(lanes[lane])->thread, all);
        }
      },
      site);
}

void exchange(const char* name, Exchange& own, const Site& site) {
  const Unwatched pause;
  if (own.source < 0 || own.source >= kWarp) {
    fail(std::string(name) + " from lane " + std::to_string(own.source) + " at " + describe(site) +
         "; lanes are 0 to 31");
  }
  warp_collective(
      name, &own,
      [](void* const* lanes) {
        for (int lane = 0; lane < kWarp; ++lane) {
          auto& receiver = *static_cast<Exchange*>(lanes[lane]);
          receiver.received = static_cast<const Exchange*>(lanes[receiver.source])->bits;
        }
      },
      site);
}

unsigned vote(const char* name, bool predicate, const Site& site) {
  const Unwatched pause;
  struct Own {
    bool predicate;
    unsigned votes;
  } own{predicate, 0};
  warp_collective(
      name, &own,
      [](void* const* lanes) {
        unsigned votes = 0;
        for (int lane = 0; lane < kWarp; ++lane) {
          if (static_cast<const Own*>(lanes[lane])->predicate) votes |= 1u << lane;
        }
        for (int lane = 0; lane < kWarp; ++lane) static_cast<Own*>(lanes[lane])->votes = votes;
      },
      site);
  return own.votes;
}

float exp2_flushed(float x) {
  const float result = std::exp2(x < -126.0f ? -std::numeric_limits<float>::infinity() : x);
  return result;
}

int add_atomically(void* address, int value, const Site& site) {
  const Unwatched pause;
  check_atomic(address, sizeof(int), Where(site));
  auto* const counter = static_cast<int*>(address);
  const int before = *counter;
  *counter += value;
  return before;
}

}  // namespace attnlab::hostexec
