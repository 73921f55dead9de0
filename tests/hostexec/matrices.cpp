// mma.m16n8k16, ldmatrix and stmatrix. Layouts: PTX ISA, "Matrix fragments for mma.m16n8k16" and
// "ldmatrix", for lane = 4 * g + t.
#include <cstring>

#include "hostexec/machine.h"
#include "hostexec/mma.h"

namespace attnlab::hostexec {
namespace {

template <class T>
float half_of(std::uint32_t pair, int half) {
  return to_float(T{static_cast<std::uint16_t>(pair >> 16 * half)});
}

template <class T>
void multiply(void* const* lanes) {
  float a[16][16];
  float b[8][16];  // transposed
  for (int lane = 0; lane < kWarp; ++lane) {
    const auto& own = *static_cast<const MmaOperands*>(lanes[lane]);
    const int g = lane / 4;
    const int t = lane % 4;
    for (int half = 0; half < 2; ++half) {
      for (int i = 0; i < 4; ++i) {
        a[g + i % 2 * 8][2 * t + half + i / 2 * 8] = half_of<T>(own.a[i], half);
      }
      for (int i = 0; i < 2; ++i) b[g][2 * t + half + i * 8] = half_of<T>(own.b[i], half);
    }
  }
  for (int lane = 0; lane < kWarp; ++lane) {
    const auto& own = *static_cast<const MmaOperands*>(lanes[lane]);
    for (int i = 0; i < 4; ++i) {
      const float* const row = a[lane / 4 + i / 2 * 8];
      const float* const column = b[2 * (lane % 4) + i % 2];
      float sum = 0.0f;
      for (int k = 0; k < 16; ++k) sum += row[k] * column[k];
      own.d[i] += sum;
    }
  }
}

struct Rows {
  std::uint32_t* registers;
  std::byte* row;
  int thread;
  int matrices;
  const Site* site;
};

void check_rows(void* const* lanes, Access access) {
  const int rows = static_cast<const Rows*>(lanes[0])->matrices * 8;
  for (int lane = 0; lane < rows; ++lane) {
    const auto& own = *static_cast<const Rows*>(lanes[lane]);
    require_shared(own.row, 16, access == Access::kRead ? "load_matrix" : "store_matrix",
                   *own.site);
    check_access(own.thread, own.row, 16, 16, access, Where(*own.site));
  }
}

template <bool kTransposed>
void load(void* const* lanes) {
  check_rows(lanes, Access::kRead);
  const auto element = [&](int matrix, int row, int column) {
    std::uint16_t bits;
    std::memcpy(&bits, static_cast<const Rows*>(lanes[matrix * 8 + row])->row + 2 * column, 2);
    return static_cast<std::uint32_t>(bits);
  };
  for (int lane = 0; lane < kWarp; ++lane) {
    const auto& own = *static_cast<const Rows*>(lanes[lane]);
    const int g = lane / 4;
    const int t = lane % 4;
    for (int m = 0; m < own.matrices; ++m) {
      const std::uint32_t low = kTransposed ? element(m, 2 * t, g) : element(m, g, 2 * t);
      const std::uint32_t high = kTransposed ? element(m, 2 * t + 1, g) : element(m, g, 2 * t + 1);
      own.registers[m] = low | high << 16;
    }
  }
}

void store(void* const* lanes) {
  check_rows(lanes, Access::kWrite);
  for (int lane = 0; lane < kWarp; ++lane) {
    const auto& own = *static_cast<const Rows*>(lanes[lane]);
    for (int m = 0; m < 4; ++m) {
      std::byte* const row = static_cast<const Rows*>(lanes[m * 8 + lane / 4])->row;
      std::memcpy(row + lane % 4 * 4, &own.registers[m], 4);
    }
  }
}

}  // namespace

void multiply_bfloat16(MmaOperands own, const Site& site) {
  warp_collective("mma_m16n8k16<bfloat16>", &own, multiply<bfloat16>, site);
}

void multiply_float16(MmaOperands own, const Site& site) {
  warp_collective("mma_m16n8k16<float16>", &own, multiply<float16>, site);
}

void load_matrices(std::uint32_t* registers, const void* row, int matrices, bool transposed,
                   const Site& site) {
  const Unwatched pause;
  Rows own{registers, static_cast<std::byte*>(const_cast<void*>(row)), position().thread, matrices,
           &site};
  warp_collective(matrices == 4 ? "load_matrix_x4" : "load_matrix_x2", &own,
                  transposed ? load<true> : load<false>, site);
}

void store_matrices(void* row, const std::uint32_t* registers, const Site& site) {
  const Unwatched pause;
  Rows own{const_cast<std::uint32_t*>(registers), static_cast<std::byte*>(row), position().thread,
           4, &site};
  warp_collective("store_matrix_x4", &own, store, site);
}

}  // namespace attnlab::hostexec
