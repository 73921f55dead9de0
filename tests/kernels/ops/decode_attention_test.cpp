#include <torch/csrc/autograd/autograd.h>

#include "tests/kernels/ops/reference.h"

namespace attnlab::testing {
namespace {

using at::Tensor;

class DecodeAttention : public ::testing::TestWithParam<std::int64_t> {};

TEST_P(DecodeAttention, EqualsTheFormulaWithLengths) {
  const std::int64_t seqlen_q = GetParam();
  const Case c{"", 5, 4, 2, seqlen_q, 77, 16, 12};
  const Tensor seqlens = at::tensor({77, 0, 1, 40, 8}, at::kLong);
  for (at::ScalarType dtype : {at::kDouble, at::kFloat, at::kBFloat16}) {
    const Tensors x = random_tensors(c, dtype);
    const Tensors wide = x.to(at::kDouble);
    const Reference all = reference_attention(wide.q, wide.k, wide.v, {.causal = true});
    const auto [out, lse] = ops::decode_attention(x.q, x.k, x.v, std::nullopt, std::nullopt);
    EXPECT_TRUE(close(out, all.out, tolerance(dtype)));
    EXPECT_TRUE(close(lse, all.lse, tolerance(lse.scalar_type())));

    const Reference cut =
        reference_attention(wide.q, wide.k, wide.v, {.scale = 0.2, .causal = true}, seqlens);
    for (const Tensor& lengths : {seqlens, seqlens.to(at::kInt)}) {
      const auto [o, l] = ops::decode_attention(x.q, x.k, x.v, 0.2, lengths);
      EXPECT_TRUE(close(o, cut.out, tolerance(dtype)));
      EXPECT_TRUE(close(l, cut.lse, tolerance(l.scalar_type())));
    }
  }
}

TEST_P(DecodeAttention, GradientsEqualThoseOfTheFormula) {
  const Case c{"", 3, 4, 2, GetParam(), 40, 8, 6};
  const Tensor seqlens = at::tensor({40, 0, 13}, at::kLong);
  const Tensor grad_out = random_tensor({3, 4, GetParam(), 6}, at::kDouble, 7);
  const Tensors r = random_tensors(c).leaves();
  const Tensor reference = reference_attention(r.q, r.k, r.v, {.causal = true}, seqlens).out;
  const auto expected = torch::autograd::grad({reference}, {r.q, r.k, r.v}, {grad_out});
  const Tensors a = random_tensors(c).leaves();
  const Tensor out = std::get<0>(ops::decode_attention(a.q, a.k, a.v, std::nullopt, seqlens));
  const auto actual = torch::autograd::grad({out}, {a.q, a.k, a.v}, {grad_out});
  for (std::size_t i = 0; i < 3; ++i) EXPECT_TRUE(close(actual[i], expected[i], 1e-11));
}

INSTANTIATE_TEST_SUITE_P(SeqlenQ, DecodeAttention, ::testing::Values(1, 2, 16));

TEST(DecodeAttention, GarbageBeyondTheLengthIsNeverRead) {
  const Case c{"", 1, 2, 1, 3, 30, 8, 8};
  const Tensor seqlens = at::tensor({17}, at::kInt);
  const Tensors clean = random_tensors(c, at::kFloat);
  const Tensors dirty{clean.q, clean.k.clone(), clean.v.clone()};
  dirty.k.narrow(2, 17, 13).fill_(NAN);
  dirty.v.narrow(2, 17, 13).fill_(INFINITY);
  const auto [out, lse] = ops::decode_attention(clean.q, clean.k, clean.v, {}, seqlens);
  const auto [out2, lse2] = ops::decode_attention(dirty.q, dirty.k, dirty.v, {}, seqlens);
  EXPECT_TRUE(at::equal(out, out2));
  EXPECT_TRUE(at::equal(lse, lse2));
}

}  // namespace
}  // namespace attnlab::testing
