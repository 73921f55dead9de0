// What the machine can do at most, for benchmarks: loops of nothing but multiply-adds in registers,
// and a bare read of memory. One function per instruction set; the caller must know that the
// machine has it (isa.h). Each runs on the calling thread only.
#pragma once

#include <cstdint>

namespace attnlab::cpu {

// Each `*_peak` runs `rounds` rounds of independent multiply-adds and returns the floating-point
// operations done (multiply-add = 2). `sink` is one float that is read before and written after, so
// that the compiler can neither foresee nor drop the work; set it to 0.5 before each call, which
// keeps all numbers of ordinary size.
//
// `read_memory` reads `count` floats at `data` (64-byte aligned, `count` a multiple of 512) once in
// ascending order and returns a checksum that depends on all of them.

namespace portable {
double fma_peak(std::int64_t rounds, float* sink);
float read_memory(const float* data, std::int64_t count);
}  // namespace portable
namespace avx2 {
double fma_peak(std::int64_t rounds, float* sink);
float read_memory(const float* data, std::int64_t count);
}  // namespace avx2
namespace avx512 {
double fma_peak(std::int64_t rounds, float* sink);
float read_memory(const float* data, std::int64_t count);
}  // namespace avx512

/// Products of bfloat16 pairs with float32 sums, VDPBF16PS on 512-bit registers.
namespace avx512_bf16 {
double pair_peak(std::int64_t rounds, float* sink);
}

/// The same with AMX tiles, TDPBF16PS. The thread's tile configuration is put back; its tile
/// contents are lost. The process must have asked Linux for the tiles (isa_available does).
namespace avx512_amx {
double pair_peak(std::int64_t rounds, float* sink);
}

}  // namespace attnlab::cpu
