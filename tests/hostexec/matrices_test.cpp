// Tensor-core products and matrix loads against matrices computed by hand: small integers, so that
// every number is exact.
#include "hostexec/test_support.h"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/ptx.h"

namespace attnlab::cuda {
namespace {

using hostexec::always_faults_with;
using hostexec::download;
using hostexec::fault_of;
using hostexec::faults_with;
using testing::DeviceBuffer;
using testing::run_kernels_everywhere;

// Both have no symmetry that a wrong layout could hide behind.
float a_at(int row, int k) { return static_cast<float>((row * 7 + k * 3) % 11 - 5); }
float b_at(int k, int column) { return static_cast<float>((k * 5 + column * 2) % 13 - 6); }

/// Fragments are filled by the definition of the layout, and the result is written by it.
template <class T>
__global__ void multiply(float* out) {
  const int g = lane_idx() / 4;
  const int t = lane_idx() % 4;
  const std::uint32_t a[4] = {
      pack2<T>(a_at(g, 2 * t), a_at(g, 2 * t + 1)),
      pack2<T>(a_at(g + 8, 2 * t), a_at(g + 8, 2 * t + 1)),
      pack2<T>(a_at(g, 2 * t + 8), a_at(g, 2 * t + 9)),
      pack2<T>(a_at(g + 8, 2 * t + 8), a_at(g + 8, 2 * t + 9)),
  };
  const std::uint32_t b[2] = {
      pack2<T>(b_at(2 * t, g), b_at(2 * t + 1, g)),
      pack2<T>(b_at(2 * t + 8, g), b_at(2 * t + 9, g)),
  };
  float d[4] = {100.0f, 200.0f, 300.0f, 400.0f};
  mma_m16n8k16<T>(d, a, b);
  for (int i = 0; i < 4; ++i) out[(g + i / 2 * 8) * 8 + 2 * t + i % 2] = d[i];
}

template <class T>
void expect_product() {
  run_kernels_everywhere([] {
    DeviceBuffer out(128 * 4);
    launch({{1}, 32}, multiply<T>, reinterpret_cast<float*>(out.data()));
    const std::vector<float> values = download<float>(out);
    for (int row = 0; row < 16; ++row) {
      for (int column = 0; column < 8; ++column) {
        float expected = 100.0f + (row >= 8 ? 200.0f : 0.0f) + (column % 2 == 1 ? 100.0f : 0.0f);
        for (int k = 0; k < 16; ++k) expected += a_at(row, k) * b_at(k, column);
        EXPECT_EQ(values[static_cast<std::size_t>(row * 8 + column)], expected)
            << row << ", " << column;
      }
    }
  });
}

TEST(Matrices, ProductOfBFloat16) { expect_product<bfloat16>(); }
TEST(Matrices, ProductOfFloat16) { expect_product<float16>(); }

/// Element (row, column) of matrix m is 1000 m + 10 row + column; lane 8m + i names row i of m.
__global__ void load(std::uint32_t* out, int matrices, bool transposed) {
  auto* const shared = reinterpret_cast<std::uint16_t*>(shared_memory());
  for (int i = thread_idx(); i < 64 * matrices; i += 32) {
    shared[i] = static_cast<std::uint16_t>(i / 64 * 1000 + i % 64 / 8 * 10 + i % 8);
  }
  sync_warp();
  const void* const row = shared + 8 * (lane_idx() % (8 * matrices));
  std::uint32_t four[4] = {};
  std::uint32_t two[2] = {};
  if (matrices == 4 && transposed) load_matrix_x4_transposed(four, row);
  if (matrices == 4 && !transposed) load_matrix_x4(four, row);
  if (matrices == 2 && transposed) load_matrix_x2_transposed(two, row);
  if (matrices == 2 && !transposed) load_matrix_x2(two, row);
  for (int m = 0; m < matrices; ++m) {
    out[lane_idx() * matrices + m] = matrices == 4 ? four[m] : two[m];
  }
}

TEST(Matrices, LoadsPlainAndTransposed) {
  for (const int matrices : {2, 4}) {
    for (const bool transposed : {false, true}) {
      run_kernels_everywhere([&] {
        DeviceBuffer out(32 * matrices * 4);
        launch({{1}, 32, 128 * matrices}, load, reinterpret_cast<std::uint32_t*>(out.data()),
               matrices, transposed);
        const auto values = download<std::uint32_t>(out);
        for (int i = 0; i < 32 * matrices; ++i) {
          const int lane = i / matrices;
          const int along = lane % 4 * 2;
          const int across = lane / 4;
          const int base = i % matrices * 1000;
          const int low = base + (transposed ? along * 10 + across : across * 10 + along);
          const int high = low + (transposed ? 10 : 1);
          EXPECT_EQ(values[static_cast<std::size_t>(i)],
                    static_cast<std::uint32_t>(low) | static_cast<std::uint32_t>(high) << 16);
        }
      });
    }
  }
}

TEST(Matrices, StoreIsTheInverseOfLoad) {
  const auto kernel = +[](std::uint32_t* out) {
    auto* const shared = reinterpret_cast<std::uint32_t*>(shared_memory());
    const std::uint32_t own[4] = {
        static_cast<std::uint32_t>(lane_idx()), static_cast<std::uint32_t>(lane_idx() + 100),
        static_cast<std::uint32_t>(lane_idx() + 200), static_cast<std::uint32_t>(lane_idx() + 300)};
    store_matrix_x4(shared + 4 * lane_idx(), own);
    sync_warp();
    for (int i = 0; i < 4; ++i) out[i * 32 + lane_idx()] = shared[i * 32 + lane_idx()];
  };
  run_kernels_everywhere([&] {
    DeviceBuffer out(128 * 4);
    launch({{1}, 32, 512}, kernel, reinterpret_cast<std::uint32_t*>(out.data()));
    const auto values = download<std::uint32_t>(out);
    // Matrix m, row g, word t comes from lane 4 g + t, register m.
    for (std::uint32_t i = 0; i < 128; ++i) EXPECT_EQ(values[i], i / 32 * 100 + i % 32);
  });
}

__global__ void load_at(int offset, bool order) {
  auto* const shared = reinterpret_cast<std::uint32_t*>(shared_memory());
  for (int i = 0; i < 4; ++i) shared[4 * lane_idx() + i] = 0;
  if (order) sync_warp();
  std::uint32_t r[4];
  load_matrix_x4(r, shared_memory() + 16 * (31 - lane_idx()) + (lane_idx() == 3 ? offset : 0));
}

TEST(Matrices, LoadsAreAlignedBoundedAndOrdered) {
  EXPECT_EQ(fault_of([] { launch({{1}, 32, 512}, load_at, 0, true); }), "");
  EXPECT_TRUE(faults_with(
      [] {
        launch({{1}, 32, 512}, load_at, 8, true);
      },
      {"misaligned", "matrices_test"}));
  EXPECT_TRUE(faults_with(
      [] {
        launch({{1}, 32, 512}, load_at, 4096, true);
      },
      {"out of bounds", "load_matrix"}));
  EXPECT_TRUE(always_faults_with([] { launch({{1}, 32, 512}, load_at, 0, false); }, {"race: "}));
}

TEST(Matrices, Exp2IsExactAtIntegersAndFlushesSmallResults) {
  const auto kernel = +[](float* out) {
    out[thread_idx()] = exp2_approx(static_cast<float>(thread_idx() * 16 - 256));
  };
  DeviceBuffer out(32 * 4);
  launch({{1}, 32}, kernel, reinterpret_cast<float*>(out.data()));
  const auto values = download<float>(out);
  for (int i = 0; i < 32; ++i) {
    const int power = i * 16 - 256;
    const float expected = power < -126 ? 0.0f : std::ldexp(1.0f, power);
    EXPECT_EQ(values[static_cast<std::size_t>(i)], expected) << power;
  }
  EXPECT_EQ(exp2_approx(-std::numeric_limits<float>::infinity()), 0.0f);
}

}  // namespace
}  // namespace attnlab::cuda
