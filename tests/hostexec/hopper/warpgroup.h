// Products of a warpgroup that are under way. For the .cpp files of tests/hostexec/hopper only.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <string>
#include <vector>

#include "hostexec/hopper/wgmma.h"
#include "hostexec/race.h"

namespace attnlab::hostexec {

inline constexpr int kWarpgroup = 128;

/// The accumulators of all threads while products write them: the threads' own arrays hold a poison
/// until each has waited.
struct Accumulator {
  std::array<float*, kWarpgroup> d{};
  int columns = 0;
  std::int64_t last_product = 0;
  std::vector<float> values;  ///< [64, columns]
  std::array<bool, kWarpgroup> returned{};
  int num_returned = 0;
};

struct Product {
  std::array<WgmmaOperands, kWarpgroup> operands;
  std::vector<std::uint32_t> a;  ///< [128, 4] where A comes from registers
  Accumulator* accumulator = nullptr;
  const std::byte* shared = nullptr;  ///< the block's memory
  std::vector<Range> ranges;          ///< of it that are read
  Site site;
  int waited = 0;  ///< how many threads have
};

/// `lane` counts the threads of the warpgroup: 0 to 127.
class Warpgroup {
 public:
  /// All 128 threads come here with the same operation; the last one runs `on_last`, then all go
  /// on.
  void gather(const std::string& what, const Site& site, const std::function<void()>& on_last);

  void issue(int lane, const WgmmaOperands& operands, const Site& site);
  void fence(int lane) { fenced_[index(lane)] = true; }
  void commit(int lane);
  void wait(int lane, int pending_groups, const Site& site);
  /// Empty, or the place of the oldest product that not all threads have waited for.
  std::string unfinished() const;

  int registers = 0;  ///< per thread

 private:
  static std::size_t index(int lane) { return static_cast<std::size_t>(lane); }
  void start(const Site& site);
  Accumulator& accumulator_for(const Site& site);
  /// Products before number `end` read their operands now, in order.
  void run_until(std::int64_t end);
  void check_fragments(int lane, std::int64_t end, const Site& site);
  void give_back(int lane, std::int64_t end, const Site& site);

  // Gathering.
  int arrived_ = 0;
  int generation_ = 0;
  int first_lane_ = 0;
  std::string gathering_;
  Site gathering_site_;
  std::array<WgmmaOperands, kWarpgroup> brought_;
  // Products that not all threads have waited for; the first has number first_, and those before
  // done_ have been computed.
  std::deque<Product> products_;
  std::int64_t first_ = 0;
  std::int64_t done_ = 0;
  Clock done_clock_;
  std::list<Accumulator> accumulators_;
  // Per thread.
  std::array<bool, kWarpgroup> fenced_{};
  std::array<std::deque<std::int64_t>, kWarpgroup> groups_;  ///< ends of committed groups
  std::array<std::int64_t, kWarpgroup> waited_{};
};

}  // namespace attnlab::hostexec
