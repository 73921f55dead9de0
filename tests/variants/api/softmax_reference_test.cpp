#include "variants/api/softmax_reference.h"

#include <ATen/ops/isfinite.h>
#include <gtest/gtest.h>

#include "kernels/core/mask.h"
#include "tests/variants/variant_test_support.h"

namespace attnlab {
namespace {

TEST(SoftmaxReference, ItsMaskMeansTheSameAsTheKernels) {
  for (const std::int64_t seqlen_q : {1, 3, 6}) {
    for (const std::int64_t seqlen_k : {1, 4, 6}) {
      for (const bool causal : {false, true}) {
        for (const std::int64_t left : {-1, 0, 2}) {
          for (const std::int64_t right : {-1, 0, 1}) {
            const Mask mask{seqlen_q, seqlen_k, causal, left, right};
            const at::Tensor keep =
                visible_pairs(seqlen_q, seqlen_k, {causal, left, right}, {}, at::kCPU);
            for (std::int64_t q = 0; q < seqlen_q; ++q) {
              for (std::int64_t k = 0; k < seqlen_k; ++k) {
                ASSERT_EQ(keep[q][k].item<bool>(), mask.keeps(q, k))
                    << seqlen_q << ' ' << seqlen_k << ' ' << causal << ' ' << left << ' ' << right
                    << " at " << q << ' ' << k;
              }
            }
          }
        }
      }
    }
  }
}

TEST(SoftmaxReference, RowsWithoutKeysAreZeroAndHaveNoGradient) {
  Inputs inputs{.q = test::normal({1, 1, 3, 4}, 1).requires_grad_(true),
                .k = test::normal({1, 1, 1, 4}, 2),
                .v = test::normal({1, 1, 1, 4}, 3),
                .causal = true};
  const at::Tensor out = softmax_reference(inputs, {.causal = true}, {});
  EXPECT_EQ(out.narrow(2, 0, 2).abs().max().item<float>(), 0.0f);
  out.sum().backward();
  EXPECT_TRUE(at::isfinite(inputs.q.grad()).all().item<bool>());
  EXPECT_EQ(inputs.q.grad().narrow(2, 0, 2).abs().max().item<float>(), 0.0f);
}

}  // namespace
}  // namespace attnlab
