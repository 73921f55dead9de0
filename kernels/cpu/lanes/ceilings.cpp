// The loops of ceilings.h for this instruction set.
#include "kernels/cpu/ceilings.h"

#include "kernels/cpu/lanes/simd.h"
#include "kernels/cpu/pairs/tile_config.h"

namespace attnlab::cpu::ATTNLAB_ISA_NAMESPACE {

#if defined(__AMX_BF16__)

double pair_peak(std::int64_t rounds, float* sink) {
  const TileConfig tile_config;
  alignas(64) float tile[16 * 16] = {};
  tile[0] = *sink;
  _tile_loadd(4, tile, 64);
  _tile_loadd(5, tile, 64);
  _tile_loadd(6, tile, 64);
  _tile_loadd(7, tile, 64);
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  // Four sums hide the latency: 52 cycles at one product every 16.
  for (std::int64_t i = 0; i < rounds; ++i) {
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  float total = 0;
  _tile_stored(0, tile, 64);
  total += tile[0];
  _tile_stored(1, tile, 64);
  total += tile[0];
  _tile_stored(2, tile, 64);
  total += tile[0];
  _tile_stored(3, tile, 64);
  total += tile[0];
  *sink = total;
  constexpr double kTileFlops = 2.0 * 16 * 16 * 32;
  return static_cast<double>(rounds) * 4 * kTileFlops;
}

#elif defined(__AVX512BF16__)

double pair_peak(std::int64_t rounds, float* sink) {
  constexpr int kSums = 24;
  const __m512bh a = (__m512bh)_mm512_castps_si512(_mm512_set1_ps(*sink));
  __m512 sums[kSums];
#pragma GCC unroll 24
  for (int i = 0; i < kSums; ++i) sums[i] = _mm512_set1_ps(*sink + static_cast<float>(i));
  for (std::int64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 24
    for (int i = 0; i < kSums; ++i) sums[i] = _mm512_dpbf16_ps(sums[i], a, a);
  }
#pragma GCC unroll 24
  for (int i = 1; i < kSums; ++i) sums[0] = _mm512_add_ps(sums[0], sums[i]);
  *sink = reduce_add(Lanes<float>(static_cast<Lanes<float>::Raw>(sums[0])));
  return static_cast<double>(rounds) * kSums * 16 * 4;
}

#else

double fma_peak(std::int64_t rounds, float* sink) {
  using V = Lanes<float>;
  // As many sums as registers allow beside the two factors; 10 and more hide the latency.
  constexpr int kSums = kVectorBytes == 64 ? 24 : 12;
  // The sum is a factor: a product of two constants would be computed once, outside of the loop.
  const V factor(*sink), other(*sink + 1);
  V sums[kSums];
#pragma GCC unroll 24
  for (int i = 0; i < kSums; ++i) sums[i] = V(*sink + static_cast<float>(i));
  for (std::int64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 24
    for (int i = 0; i < kSums; ++i) sums[i] = fma(sums[i], factor, other);
  }
#pragma GCC unroll 24
  for (int i = 1; i < kSums; ++i) sums[0] = sums[0] + sums[i];
  *sink = reduce_add(sums[0]);
  return static_cast<double>(rounds) * kSums * V::kSize * 2;
}

float read_memory(const float* data, std::int64_t count) {
  using V = Lanes<float>;
  constexpr int kSums = 8;
  V sums[kSums];
#pragma GCC unroll 8
  for (int i = 0; i < kSums; ++i) sums[i] = V(0.0f);
  for (std::int64_t at = 0; at < count; at += kSums * V::kSize) {
#pragma GCC unroll 8
    for (int i = 0; i < kSums; ++i) sums[i] = sums[i] + V::load(data + at + i * V::kSize);
  }
#pragma GCC unroll 8
  for (int i = 1; i < kSums; ++i) sums[0] = sums[0] + sums[i];
  return reduce_add(sums[0]);
}

#endif

}  // namespace attnlab::cpu::ATTNLAB_ISA_NAMESPACE
