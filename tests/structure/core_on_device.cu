// Compiled, never run: uses the headers that CPU and CUDA share in device code, so that a host-only
// construct in them breaks the build of a machine with nvcc.
#include "kernels/core/attention_args.h"
#include "kernels/core/mask.h"
#include "kernels/core/online_softmax.h"

namespace attnlab {

__global__ void use_core(Mask mask, const float* scores, float* lse, TypedView<float> view) {
  OnlineSoftmax<float> softmax;
  const IndexRange keys = mask.key_range(threadIdx.x, threadIdx.x + 1);
  for (std::int64_t k = keys.begin; k < keys.end; ++k) {
    if (!mask.keeps(threadIdx.x, k)) continue;
    softmax.update(scores[k]);
    softmax.add(exp2f(scores[k] - softmax.reference()));
  }
  lse[threadIdx.x] = softmax.finish();
  *view.row(0, 0, threadIdx.x) = softmax.row_sum;
}

}  // namespace attnlab
