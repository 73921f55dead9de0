#include "experiments/bench/ceilings.h"

#include <array>
#include <cstdlib>
#include <memory>
#include <new>

#include "kernels/cpu/ceilings.h"
#include "kernels/cpu/kernel_table.h"

namespace attnlab::bench {
namespace {

using PeakLoop = double (*)(std::int64_t, float*);
using ReadLoop = float (*)(const float*, std::int64_t);

constexpr double kSliceSeconds = 10e-3;
constexpr float kSink = 0.5f;

/// Rounds that take about kSliceSeconds on one thread.
std::int64_t rounds_of_slice(PeakLoop loop) {
  for (std::int64_t rounds = 1000;; rounds *= 2) {
    float sink = kSink;
    const double start = now(Clock::kThreadCpu);
    loop(rounds, &sink);
    if (now(Clock::kThreadCpu) - start >= kSliceSeconds) return rounds;
  }
}

Ceiling peak(std::string name, PeakLoop loop, int threads, Clock clock) {
  const std::int64_t rounds = rounds_of_slice(loop);
  return {std::move(name), [=] {
            std::vector<double> flops(static_cast<std::size_t>(threads));
            const double seconds = run_on_threads(threads, clock, [&](int thread) {
              float sink = kSink;
              flops[static_cast<std::size_t>(thread)] = loop(rounds, &sink);
            });
            double total = 0;
            for (const double one : flops) total += one;
            return total / seconds * 1e-9;
          }};
}

PeakLoop fma_loop(cpu::Isa isa) {
  switch (isa) {
    case cpu::Isa::kPortable: return cpu::portable::fma_peak;
    case cpu::Isa::kAvx2: return cpu::avx2::fma_peak;
    default: return cpu::avx512::fma_peak;
  }
}

std::string fma_name(cpu::Isa isa) {
  switch (isa) {
    case cpu::Isa::kPortable: return "fma_portable";
    case cpu::Isa::kAvx2: return "fma_avx2";
    default: return "fma_avx512";
  }
}

ReadLoop read_loop() {
  if (cpu::isa_available(cpu::Isa::kAvx512)) return cpu::avx512::read_memory;
  if (cpu::isa_available(cpu::Isa::kAvx2)) return cpu::avx2::read_memory;
  return cpu::portable::read_memory;
}

/// Written once, so that every page exists.
struct Memory {
  explicit Memory(std::int64_t bytes)
      : count(bytes / static_cast<std::int64_t>(sizeof(float))),
        data(static_cast<float*>(std::aligned_alloc(4096, static_cast<std::size_t>(bytes)))) {
    if (data == nullptr) throw std::bad_alloc();
    for (std::int64_t i = 0; i < count; ++i) data.get()[i] = 1.0f;
  }

  struct Free {
    void operator()(float* pointer) const { std::free(pointer); }
  };
  std::int64_t count;
  std::unique_ptr<float, Free> data;
};

/// Seconds of reading it all once, each thread its own part.
double read_once(int threads, Clock clock, std::int64_t bytes) {
  static const Memory memory(bytes);
  const ReadLoop loop = read_loop();
  constexpr std::int64_t kStep = 4096;
  const std::int64_t part = memory.count / threads / kStep * kStep;
  std::vector<float> sums(static_cast<std::size_t>(threads));
  return run_on_threads(threads, clock, [&](int thread) {
    sums[static_cast<std::size_t>(thread)] = loop(memory.data.get() + thread * part, part);
  });
}

Ceiling read_bandwidth(int threads, Clock clock, std::int64_t bytes) {
  return {"read",
          [=] { return static_cast<double>(bytes) / read_once(threads, clock, bytes) * 1e-9; }};
}

}  // namespace

std::vector<Ceiling> ceilings_of(const BenchCase& bench_case, cpu::Isa isa, Clock clock,
                                 std::int64_t read_bytes) {
  const int threads = bench_case.threads;
  std::vector<Ceiling> ceilings;
  if (bench_case.op == Op::kDecode) {
    ceilings.push_back(read_bandwidth(threads, clock, read_bytes));
    return ceilings;
  }
  if (bench_case.dtype == DType::kBFloat16) {
    if (cpu::isa_available(cpu::Isa::kAvx512Bf16)) {
      ceilings.push_back(peak("vdpbf16ps", cpu::avx512_bf16::pair_peak, threads, clock));
    }
    if (cpu::isa_available(cpu::Isa::kAvx512Amx)) {
      ceilings.push_back(peak("tdpbf16ps", cpu::avx512_amx::pair_peak, threads, clock));
    }
  }
  ceilings.push_back(peak(fma_name(isa), fma_loop(isa), threads, clock));
  return ceilings;
}

void flush_caches(int threads, std::int64_t read_bytes) {
  read_once(threads, Clock::kWall, read_bytes);
}

}  // namespace attnlab::bench
