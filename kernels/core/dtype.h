// The element types of tensors. One closed list (kDTypes) feeds support checks, dispatch and tests.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <string_view>

#include "kernels/core/host_device.h"

namespace attnlab {

enum class DType : std::uint8_t { kFloat32, kFloat64, kBFloat16, kFloat16 };

inline constexpr std::array kDTypes = {DType::kFloat32, DType::kFloat64, DType::kBFloat16,
                                       DType::kFloat16};

/// Storage of a bfloat16 (the upper half of a float32). Arithmetic happens in float.
struct bfloat16 {
  std::uint16_t bits;
};

/// Storage of an IEEE 754 binary16. Arithmetic happens in float.
struct float16 {
  std::uint16_t bits;
};

constexpr std::string_view dtype_name(DType dtype) {
  switch (dtype) {
    case DType::kFloat32: return "float32";
    case DType::kFloat64: return "float64";
    case DType::kBFloat16: return "bfloat16";
    case DType::kFloat16: return "float16";
  }
  return "unknown";
}

/// Bytes of one element.
constexpr std::int64_t element_size(DType dtype) {
  switch (dtype) {
    case DType::kFloat32: return 4;
    case DType::kFloat64: return 8;
    case DType::kBFloat16:
    case DType::kFloat16: return 2;
  }
  return 0;
}

/// Bytes of one accumulator: sums are kept in float32, or float64 for float64 tensors.
constexpr std::int64_t accumulator_size(DType dtype) { return dtype == DType::kFloat64 ? 8 : 4; }

ATTNLAB_HOST_DEVICE inline float to_float(bfloat16 x) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(x.bits) << 16);
}

/// Rounds to nearest even; a NaN stays a (quiet) NaN.
ATTNLAB_HOST_DEVICE inline bfloat16 to_bfloat16(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return {static_cast<std::uint16_t>((bits >> 16) | 0x40)};
  return {static_cast<std::uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16)};
}

/// Exact, subnormal numbers included.
ATTNLAB_HOST_DEVICE inline float to_float(float16 x) {
  const std::uint32_t magnitude = static_cast<std::uint32_t>(x.bits & 0x7fffu) << 13;
  const std::uint32_t sign = static_cast<std::uint32_t>(x.bits & 0x8000u) << 16;
  if (magnitude >= 0x0f800000u) return std::bit_cast<float>(sign | 0x70000000u | magnitude);
  // Rebiasing by a product also normalises subnormal numbers.
  const float value = std::bit_cast<float>(magnitude) * 0x1p112f;
  return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(value));
}

/// Rounds to nearest even; 65520 and above become infinite; a NaN stays a (quiet) NaN.
ATTNLAB_HOST_DEVICE inline float16 to_float16(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  const std::uint32_t sign = (bits >> 16) & 0x8000u;
  const std::uint32_t magnitude = bits & 0x7fffffffu;
  std::uint32_t result = 0;
  if (magnitude > 0x7f800000u) {
    result = 0x7e00u;
  } else if (magnitude >= 0x477ff000u) {
    result = 0x7c00u;
  } else if (magnitude < 0x38800000u) {
    // Adding 0.5 makes the unit in the last place 2^-24, that of a subnormal binary16.
    result = std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude) + 0.5f) - 0x3f000000u;
  } else {
    const std::uint32_t rebiased = magnitude - 0x38000000u;
    result = (rebiased + 0xfffu + ((rebiased >> 13) & 1u)) >> 13;
  }
  return {static_cast<std::uint16_t>(sign | result)};
}

}  // namespace attnlab
