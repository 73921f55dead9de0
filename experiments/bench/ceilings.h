// The most that the machine gives, measured beside each case with the same threads and clock.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "experiments/bench/case.h"
#include "experiments/bench/threads.h"
#include "kernels/cpu/isa.h"

namespace attnlab::bench {

struct Ceiling {
  std::string name;              ///< "fma_avx512", "fma_avx2", "vdpbf16ps", "tdpbf16ps", "read"
  std::function<double()> rate;  ///< one sample of some 10 ms: GFLOP/s, or GB/s of "read"
};

/// Ceilings of a case on `isa`, the one that its fraction refers to first. Attention in bfloat16:
/// VDPBF16PS, AMX and float32 FMA, as far as the machine has them; float32: FMA; decode: reading
/// `read_bytes` of memory, which must be far beyond the caches, each thread a part of its own.
std::vector<Ceiling> ceilings_of(const BenchCase& bench_case, cpu::Isa isa, Clock clock,
                                 std::int64_t read_bytes);

/// Reads `read_bytes` of memory once, so that a later reader finds nothing of its own in a cache.
void flush_caches(int threads, std::int64_t read_bytes);

}  // namespace attnlab::bench
