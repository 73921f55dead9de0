// Text for reports.
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <map>
#include <vector>

#include "hostexec/machine.h"

extern "C" const char __executable_start;

namespace attnlab::hostexec {
namespace {

/// What the debug information of this program knows about an address: a function and a place, then
/// the same of the function that it was inlined into, and so on.
std::vector<std::string> look_up(const void* address) {
  std::array<char, 4096> program{};
  if (readlink("/proc/self/exe", program.data(), program.size() - 1) <= 0) return {"?", "?"};
  const auto offset = reinterpret_cast<std::uintptr_t>(address) -
                      reinterpret_cast<std::uintptr_t>(&__executable_start);
  std::array<char, 5000> command{};
  std::snprintf(command.data(), command.size(), "addr2line -Cfsie '%s' %#zx 2>&1", program.data(),
                static_cast<std::size_t>(offset));
  std::FILE* const output = popen(command.data(), "r");
  if (output == nullptr) return {"?", "?"};
  std::vector<std::string> lines(1);
  for (int c = std::fgetc(output); c != EOF; c = std::fgetc(output)) {
    if (c == '\n') {
      lines.emplace_back();
    } else {
      lines.back() += static_cast<char>(c);
    }
  }
  pclose(output);
  lines.resize(std::max<std::size_t>(lines.size(), 2), "?");
  return lines;
}

std::string state_text(const Thread& thread) {
  switch (thread.state) {
    case State::kReady: return "ready";
    case State::kEnded: return "ended";
    case State::kCollective:
    case State::kBarrier:
    case State::kPredicate: break;
  }
  return thread.what + " (" + describe(thread.site) + ")";
}

}  // namespace

std::string describe(const Site& site) {
  const std::string path = site.file_name();
  return path.substr(path.find_last_of('/') + 1) + ":" + std::to_string(site.line());
}

std::string symbol_of(const void* function) { return look_up(function).front(); }

std::string line_of(const void* instruction) {
  // The call returns after itself: one byte before is inside.
  const std::vector<std::string> lines = look_up(static_cast<const char*>(instruction) - 1);
  std::string text = lines[1];
  for (std::size_t i = 3; i < lines.size() && i < 8; i += 2) text += " < " + lines[i];
  return text;
}

std::string describe_position() {
  const Machine& m = machine();
  const Position& p = m.position;
  return "kernel " + symbol_of(m.call.kernel) + ", block (" + std::to_string(p.block.x) + ", " +
         std::to_string(p.block.y) + ", " + std::to_string(p.block.z) + "), thread " +
         std::to_string(p.thread) + " (warp " + std::to_string(p.thread / kWarp) + ", lane " +
         std::to_string(p.thread % kWarp) + ")";
}

std::string describe_waiting() {
  const Machine& m = machine();
  std::string text;
  for (std::size_t warp = 0; warp < m.warps.size(); ++warp) {
    std::map<std::string, std::string> lanes;
    for (int lane = 0; lane < kWarp; ++lane) {
      const Thread& thread = m.threads[warp * kWarp + static_cast<std::size_t>(lane)];
      std::string& list = lanes[state_text(thread)];
      list += (list.empty() ? "" : ",") + std::to_string(lane);
    }
    for (const auto& [what, list] : lanes) {
      text += "\n  warp " + std::to_string(warp) + ", " +
              (lanes.size() == 1 ? "all lanes" : "lanes " + list) + ": " + what;
    }
  }
  return text;
}

}  // namespace attnlab::hostexec
