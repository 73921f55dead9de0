// How the kernels of ptx_vectors_*.cu are run.
#pragma once

#include <bit>
#include <random>
#include <span>

#include "kernels/core/dtype.h"
#include "kernels/cuda/launch.h"
#include "tests/gpu/ptx_vectors.h"
#include "tests/support/device_tensor.h"

namespace attnlab::testing {

using PtxKernel = void (*)(const std::uint32_t* inputs, std::uint32_t* outputs);

/// One block of `threads` threads.
struct PtxRun {
  Agreement agreement = Agreement::kExact;
  int threads = 32;
  int shared_bytes = 4096;
};

inline PtxVector run_ptx(const std::string& name, PtxKernel kernel,
                         const std::vector<std::uint32_t>& inputs, std::size_t num_outputs,
                         const PtxRun& run = {}) {
  PtxVector vector{name, run.agreement, inputs, std::vector<std::uint32_t>(num_outputs)};
  const DeviceArray<std::uint32_t> from(inputs);
  const DeviceArray<std::uint32_t> to(vector.outputs);
  cuda::launch({.grid = {}, .threads = run.threads, .shared_bytes = run.shared_bytes}, kernel,
               from.data(), to.data());
  device::download(vector.outputs.data(), reinterpret_cast<const std::byte*>(to.data()),
                   num_outputs * sizeof(std::uint32_t));
  return vector;
}

inline std::vector<std::uint32_t> random_words(std::size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<std::uint32_t> words(count);
  for (std::uint32_t& word : words) word = static_cast<std::uint32_t>(random());
  return words;
}

/// Pairs of T: integers from -4 to 4, or any numbers from -1 to 1.
template <class T>
std::vector<std::uint32_t> random_pairs(std::size_t count, unsigned seed, bool integers) {
  std::mt19937 random(seed);
  const auto draw = [&]() -> std::uint32_t {
    const float value = integers ? static_cast<float>(static_cast<int>(random() % 9) - 4)
                                 : static_cast<float>(random()) * 0x1p-31f - 1.0f;
    if constexpr (std::is_same_v<T, bfloat16>) return to_bfloat16(value).bits;
    return to_float16(value).bits;
  };
  std::vector<std::uint32_t> words(count);
  for (std::uint32_t& word : words) {
    const std::uint32_t low = draw();
    word = low | draw() << 16;
  }
  return words;
}

void add_warp_vectors(std::vector<PtxVector>& vectors);
void add_hopper_vectors(std::vector<PtxVector>& vectors);

}  // namespace attnlab::testing
