// Instructions of wgmma.h, one branch per shape and type: the number of operands is part of an asm
// statement. Included by wgmma.h only.
#pragma once

#include <cstdint>
#include <type_traits>

#include "kernels/core/dtype.h"

// clang-format off
#define ATTNLAB_REGISTERS_32 \
  "%0, %1, %2, %3, %4, %5, %6, %7, " \
  "%8, %9, %10, %11, %12, %13, %14, %15, " \
  "%16, %17, %18, %19, %20, %21, %22, %23, " \
  "%24, %25, %26, %27, %28, %29, %30, %31"
#define ATTNLAB_REGISTERS_40 ATTNLAB_REGISTERS_32 ", " \
  "%32, %33, %34, %35, %36, %37, %38, %39"
#define ATTNLAB_REGISTERS_64 ATTNLAB_REGISTERS_40 ", " \
  "%40, %41, %42, %43, %44, %45, %46, %47, " \
  "%48, %49, %50, %51, %52, %53, %54, %55, " \
  "%56, %57, %58, %59, %60, %61, %62, %63"
#define ATTNLAB_REGISTERS_128 ATTNLAB_REGISTERS_64 ", " \
  "%64, %65, %66, %67, %68, %69, %70, %71, " \
  "%72, %73, %74, %75, %76, %77, %78, %79, " \
  "%80, %81, %82, %83, %84, %85, %86, %87, " \
  "%88, %89, %90, %91, %92, %93, %94, %95, " \
  "%96, %97, %98, %99, %100, %101, %102, %103, " \
  "%104, %105, %106, %107, %108, %109, %110, %111, " \
  "%112, %113, %114, %115, %116, %117, %118, %119, " \
  "%120, %121, %122, %123, %124, %125, %126, %127"

#define ATTNLAB_OUTPUTS_8(i) \
  "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3]), "+f"(d[i + 4]), "+f"(d[i + 5]), \
  "+f"(d[i + 6]), "+f"(d[i + 7])
#define ATTNLAB_OUTPUTS_32(i) \
  ATTNLAB_OUTPUTS_8(i), ATTNLAB_OUTPUTS_8(i + 8), ATTNLAB_OUTPUTS_8(i + 16), \
  ATTNLAB_OUTPUTS_8(i + 24)
#define ATTNLAB_OUTPUTS_40(i) ATTNLAB_OUTPUTS_32(i), ATTNLAB_OUTPUTS_8(i + 32)
#define ATTNLAB_OUTPUTS_64(i) ATTNLAB_OUTPUTS_32(i), ATTNLAB_OUTPUTS_32(i + 32)
#define ATTNLAB_OUTPUTS_128(i) ATTNLAB_OUTPUTS_64(i), ATTNLAB_OUTPUTS_64(i + 64)

// `a` is a descriptor. A, B, P, T: the operands' numbers; they follow the N / 2 accumulators.
#define ATTNLAB_WGMMA_SHARED(N, TYPE, COUNT, A, B, P, T) \
  asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %" P ", 0;\n" \
               "wgmma.mma_async.sync.aligned.m64n" N "k16.f32." TYPE "." TYPE " {" \
               ATTNLAB_REGISTERS_##COUNT "}, %" A ", %" B ", p, 1, 1, 0, %" T ";\n}" \
               : ATTNLAB_OUTPUTS_##COUNT(0) \
               : "l"(a), "l"(b), "r"(static_cast<int>(accumulate)), "n"(kTransposeB ? 1 : 0))

// `a` is a fragment in registers; A0 to A3 are its operands' numbers.
#define ATTNLAB_WGMMA_REGISTERS(N, TYPE, COUNT, A0, A1, A2, A3, B, P, T) \
  asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %" P ", 0;\n" \
               "wgmma.mma_async.sync.aligned.m64n" N "k16.f32." TYPE "." TYPE " {" \
               ATTNLAB_REGISTERS_##COUNT "}, {%" A0 ", %" A1 ", %" A2 ", %" A3 "}, %" B \
               ", p, 1, 1, %" T ";\n}" \
               : ATTNLAB_OUTPUTS_##COUNT(0) \
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), \
                 "r"(static_cast<int>(accumulate)), "n"(kTransposeB ? 1 : 0))

#define ATTNLAB_WGMMA_SHAPE(MACRO, N, COUNT, ...) \
  if constexpr (std::is_same_v<T, bfloat16>) { \
    MACRO(N, "bf16", COUNT, __VA_ARGS__); \
  } else { \
    MACRO(N, "f16", COUNT, __VA_ARGS__); \
  }
// clang-format on

namespace attnlab::cuda::wgmma_instruction {

template <class T, int N, bool kTransposeB>
__device__ __forceinline__ void from_shared(float (&d)[N / 2], std::uint64_t a, std::uint64_t b,
                                            bool accumulate) {
  static_assert(std::is_same_v<T, bfloat16> || std::is_same_v<T, float16>);
  static_assert(N == 64 || N == 80 || N == 128 || N == 256);
  if constexpr (N == 64) {
    ATTNLAB_WGMMA_SHAPE(ATTNLAB_WGMMA_SHARED, "64", 32, "32", "33", "34", "35")
  } else if constexpr (N == 80) {
    ATTNLAB_WGMMA_SHAPE(ATTNLAB_WGMMA_SHARED, "80", 40, "40", "41", "42", "43")
  } else if constexpr (N == 128) {
    ATTNLAB_WGMMA_SHAPE(ATTNLAB_WGMMA_SHARED, "128", 64, "64", "65", "66", "67")
  } else {
    ATTNLAB_WGMMA_SHAPE(ATTNLAB_WGMMA_SHARED, "256", 128, "128", "129", "130", "131")
  }
}

template <class T, int N, bool kTransposeB>
__device__ __forceinline__ void from_registers(float (&d)[N / 2], const std::uint32_t (&a)[4],
                                               std::uint64_t b, bool accumulate) {
  static_assert(std::is_same_v<T, bfloat16> || std::is_same_v<T, float16>);
  static_assert(N == 64 || N == 80 || N == 128 || N == 256);
  if constexpr (N == 64) {
    ATTNLAB_WGMMA_SHAPE(ATTNLAB_WGMMA_REGISTERS, "64", 32, "32", "33", "34", "35", "36", "37", "38")
  } else if constexpr (N == 80) {
    ATTNLAB_WGMMA_SHAPE(ATTNLAB_WGMMA_REGISTERS, "80", 40, "40", "41", "42", "43", "44", "45", "46")
  } else if constexpr (N == 128) {
    ATTNLAB_WGMMA_SHAPE(ATTNLAB_WGMMA_REGISTERS, "128", 64, "64", "65", "66", "67", "68", "69",
                        "70")
  } else {
    ATTNLAB_WGMMA_SHAPE(ATTNLAB_WGMMA_REGISTERS, "256", 128, "128", "129", "130", "131", "132",
                        "133", "134")
  }
}

}  // namespace attnlab::cuda::wgmma_instruction

#undef ATTNLAB_REGISTERS_32
#undef ATTNLAB_REGISTERS_40
#undef ATTNLAB_REGISTERS_64
#undef ATTNLAB_REGISTERS_128
#undef ATTNLAB_OUTPUTS_8
#undef ATTNLAB_OUTPUTS_32
#undef ATTNLAB_OUTPUTS_40
#undef ATTNLAB_OUTPUTS_64
#undef ATTNLAB_OUTPUTS_128
#undef ATTNLAB_WGMMA_SHARED
#undef ATTNLAB_WGMMA_REGISTERS
#undef ATTNLAB_WGMMA_SHAPE
