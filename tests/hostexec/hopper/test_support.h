// What the tests of the Hopper operations share.
#pragma once

#include <cstdint>
#include <cstring>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "hostexec/memory.h"
#include "hostexec/scheduler.h"
#include "kernels/core/dtype.h"

namespace attnlab::hostexec {

/// Device memory with a copy of `values`.
template <class T>
class Buffers {
 public:
  explicit Buffers(const std::vector<T>& values)
      : data_(reinterpret_cast<T*>(allocate(values.size() * sizeof(T)))) {
    std::memcpy(data_, values.data(), values.size() * sizeof(T));
  }
  ~Buffers() { release(reinterpret_cast<std::byte*>(data_)); }
  Buffers(const Buffers&) = delete;
  Buffers& operator=(const Buffers&) = delete;
  T* data() const { return data_; }

 private:
  T* data_;
};

/// bfloat16 integers from -4 to 4: sums of their products are exact in any order.
inline std::vector<std::uint16_t> random_integers(std::size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<std::uint16_t> result(count);
  for (std::uint16_t& x : result) {
    x = to_bfloat16(static_cast<float>(static_cast<int>(random() % 9) - 4)).bits;
  }
  return result;
}

inline float value_of(std::uint16_t bits) { return to_float(bfloat16{bits}); }

inline std::vector<Schedule> all_schedules() {
  std::vector<Schedule> result;
  for (const Completion completion :
       {Completion::kEarliest, Completion::kLatest, Completion::kRandom}) {
    result.push_back({Order::kInOrder, completion, 0});
    result.push_back({Order::kReverse, completion, 0});
    result.push_back({Order::kRandom, completion, 7});
    result.push_back({Order::kRunAhead, completion, 3});
  }
  return result;
}

/// What the launch reports, or nothing.
inline std::string fault_of(const Schedule& schedule, const std::function<void()>& launches) {
  set_schedule(schedule);
  try {
    launches();
  } catch (const KernelFault& fault) {
    return fault.what();
  }
  return "";
}

}  // namespace attnlab::hostexec
