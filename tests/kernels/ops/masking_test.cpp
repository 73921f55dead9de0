// NaN and infinities in rows that a query may not see never reach it, forward and backward.

#include <torch/csrc/autograd/autograd.h>

#include "tests/kernels/ops/reference.h"

namespace attnlab::testing {
namespace {

using at::Tensor;

constexpr std::int64_t kLength = 90;
constexpr std::int64_t kDirty = 41;  // inside a tile: its diagonal tile is shared with clean rows

struct Result {
  Tensor out, grad_q, grad_k, grad_v;
};

Result run(bool naive, at::ScalarType dtype, const Tensors& x, const Tensor& grad_out,
           const ops::AttentionOptions& options) {
  const Tensors a = x.to(dtype).leaves();
  const auto result =
      naive ? ops::naive_attention(a.q, a.k, a.v, options) : ops::attention(a.q, a.k, a.v, options);
  const auto grads =
      torch::autograd::grad({std::get<0>(result)}, {a.q, a.k, a.v}, {grad_out.to(dtype)});
  return {std::get<0>(result), grads[0], grads[1], grads[2]};
}

class Masking : public ::testing::TestWithParam<std::tuple<bool, at::ScalarType>> {};

TEST_P(Masking, KeysAndValuesOfTheFutureStayThere) {
  const auto [naive, dtype] = GetParam();
  const ops::AttentionOptions options{.causal = true};
  const Case c{"", 1, 2, 1, kLength, kLength, 16, 16};
  const Tensors clean = random_tensors(c);
  // No gradient comes in for the rows that see the dirty keys.
  Tensor grad_out = random_tensor({1, 2, kLength, 16}, at::kDouble, 4);
  grad_out.narrow(2, kDirty, kLength - kDirty).zero_();
  const Result expected = run(naive, dtype, clean, grad_out, options);
  for (const double bad : {static_cast<double>(NAN), static_cast<double>(INFINITY)}) {
    const Tensors dirty{clean.q, clean.k.clone(), clean.v.clone()};
    dirty.k.narrow(2, kDirty, kLength - kDirty).fill_(bad);
    dirty.v.narrow(2, kDirty, kLength - kDirty).fill_(bad);
    const Result actual = run(naive, dtype, dirty, grad_out, options);
    const auto early = [](const Tensor& t) { return t.narrow(2, 0, kDirty); };
    EXPECT_TRUE(close(early(actual.out), early(expected.out), tolerance(dtype)));
    EXPECT_TRUE(close(early(actual.grad_q), early(expected.grad_q), 4 * tolerance(dtype)));
  }
}

TEST_P(Masking, QueriesOfThePastDoNotReachLaterKeys) {
  const auto [naive, dtype] = GetParam();
  const ops::AttentionOptions options{.causal = true};
  const Case c{"", 1, 2, 1, kLength, kLength, 16, 16};
  const Tensors clean = random_tensors(c);
  const Tensor grad_out = random_tensor({1, 2, kLength, 16}, at::kDouble, 4);
  const Result expected = run(naive, dtype, clean, grad_out, options);

  Tensors dirty{clean.q.clone(), clean.k, clean.v};
  dirty.q.narrow(2, 0, kDirty).fill_(NAN);
  Tensor dirty_grad = grad_out.clone();
  dirty_grad.narrow(2, 0, kDirty).fill_(NAN);
  const Result actual = run(naive, dtype, dirty, dirty_grad, options);
  const auto late = [](const Tensor& t) { return t.narrow(2, kDirty, kLength - kDirty); };
  EXPECT_TRUE(close(late(actual.grad_k), late(expected.grad_k), 4 * tolerance(dtype)));
  EXPECT_TRUE(close(late(actual.grad_v), late(expected.grad_v), 4 * tolerance(dtype)));
  EXPECT_TRUE(at::isnan(actual.grad_k.narrow(2, 0, kDirty)).any().item<bool>());
}

TEST_P(Masking, RowsThatSeeANanAreNan) {
  const auto [naive, dtype] = GetParam();
  const Case c{"", 1, 1, 1, 20, 20, 8, 8};
  const Tensors x = random_tensors(c, dtype);
  x.k.select(2, 12).fill_(NAN);
  const ops::AttentionOptions options{.causal = true, .window_left = 3};
  const auto result =
      naive ? ops::naive_attention(x.q, x.k, x.v, options) : ops::attention(x.q, x.k, x.v, options);
  const Tensor bad = at::isnan(std::get<0>(result)).all(-1).flatten();
  const Tensor any = at::isnan(std::get<0>(result)).any(-1).flatten();
  for (std::int64_t i = 0; i < 20; ++i) {
    const bool sees = i >= 12 && i <= 15;
    EXPECT_EQ(bad[i].item<bool>(), sees) << "row " << i;
    EXPECT_EQ(any[i].item<bool>(), sees) << "row " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Operators, Masking,
                         ::testing::Combine(::testing::Bool(),
                                            ::testing::Values(at::kDouble, at::kFloat,
                                                              at::kBFloat16, at::kHalf)));

}  // namespace
}  // namespace attnlab::testing
