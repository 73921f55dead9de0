// One run of a variant under the memory counters.
#pragma once

#include <cstdint>

#include "variants/api/variant.h"

namespace attnlab::measure {

/// Bytes, as the columns of results.csv. input + output + saved + workspace >= peak.
struct MemoryUse {
  std::int64_t peak = 0;       ///< highest sum of live tensor and scratch bytes, inputs included
  std::int64_t input = 0;      ///< q, k, v, extra inputs; with a backward pass also grad_out
  std::int64_t output = 0;     ///< out, lse; with a backward pass also dq, dk, dv
  std::int64_t saved = 0;      ///< alive after forward beyond inputs and outputs, kept for backward
  std::int64_t workspace = 0;  ///< what the peak holds beyond the three others
};

/// Runs `problem.direction` once (forward without gradient tracking; backward and forward_backward
/// with forward, backward and the gradients in hand at the end) and counts. For `backward` the peak
/// is that of the backward pass alone, with what forward left alive. Stored weights count as
/// workspace in forward, as saved where a backward pass follows. On the CPU it needs the counting
/// allocator; on CUDA the numbers are those of Torch's caching allocator, as asked for.
MemoryUse measure_memory(const Variant& variant, const Inputs& inputs, const at::Tensor& grad_out,
                         const Problem& problem);

}  // namespace attnlab::measure
