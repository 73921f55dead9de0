// The plans say what calls allocate, to the byte; and views are not copied.

#include <ATen/Parallel.h>
#include <torch/csrc/autograd/autograd.h>

#include <functional>

#include "tests/kernels/ops/allocation_counter.h"
#include "tests/kernels/ops/reference.h"

namespace attnlab::testing {
namespace {

using at::Tensor;

constexpr std::int64_t kBatch = 2, kHeads = 4, kKvHeads = 2, kLength = 300, kDim = 32;
const Case kCase{"", kBatch, kHeads, kKvHeads, kLength, kLength, kDim, kDim};

AttentionShape shape_of_case(at::ScalarType dtype) {
  return {kBatch,  kHeads, kKvHeads, kLength,
          kLength, kDim,   kDim,     dtype == at::kFloat ? DType::kFloat32 : DType::kBFloat16};
}

/// `[batch, seqlen, heads, head_dim]` in memory.
Tensor token_major(const Tensor& t) { return t.transpose(1, 2).contiguous().transpose(1, 2); }

struct Measured {
  std::int64_t forward_peak = 0;   // beyond the inputs
  std::int64_t backward_peak = 0;  // beyond what lived before backward
};

/// `run` returns out first; what it returns stays alive until the end.
Measured measure(at::ScalarType dtype,
                 const std::function<std::vector<Tensor>(const Tensors&)>& run) {
  const Tensors x = random_tensors(kCase, dtype);
  const Tensors a{token_major(x.q).requires_grad_(), token_major(x.k).requires_grad_(),
                  token_major(x.v).requires_grad_()};
  const Tensor grad_out = token_major(random_tensor(x.q.sizes(), dtype, 4));
  AllocationCounter counter;
  Measured m;
  const std::vector<Tensor> results = run(a);
  m.forward_peak = counter.peak_bytes();
  const std::int64_t before = counter.live_bytes();
  counter.reset_peak();
  const auto grads = torch::autograd::grad({results[0]}, {a.q, a.k, a.v}, {grad_out});
  m.backward_peak = counter.peak_bytes() - before;
  return m;
}

struct Sizes {
  std::int64_t out, lse, weights, grads;
};

Sizes sizes_of(at::ScalarType dtype) {
  const auto element = static_cast<std::int64_t>(c10::elementSize(dtype));
  const std::int64_t out = kBatch * kHeads * kLength * kDim * element;
  return {out, kBatch * kHeads * kLength * 4, kBatch * kHeads * kLength * kLength * element,
          out + 2 * out * kKvHeads / kHeads};
}

/// With two threads, because scratch grows with them.
class Memory : public ::testing::TestWithParam<at::ScalarType> {
 protected:
  void SetUp() override { at::set_num_threads(2); }
  void TearDown() override { at::set_num_threads(before_); }

 private:
  int before_ = at::get_num_threads();
};

TEST_P(Memory, Attention) {
  const Sizes s = sizes_of(GetParam());
  const Measured m = measure(GetParam(), [](const Tensors& x) -> std::vector<Tensor> {
    auto [out, lse] = ops::attention(x.q, x.k, x.v, {.causal = true});
    return {out, lse};
  });
  const int threads = at::get_num_threads();
  const ops::OpPlan forward = ops::plan_attention(shape_of_case(GetParam()), threads);
  const ops::OpPlan backward = ops::plan_attention_backward(shape_of_case(GetParam()), threads);
  EXPECT_EQ(m.forward_peak, s.out + s.lse + forward.workspace_bytes);
  EXPECT_EQ(m.backward_peak, s.grads + backward.workspace_bytes);
  EXPECT_EQ(forward.saved_bytes, 0);
}

TEST_P(Memory, DecodeAttention) {
  constexpr std::int64_t kQueries = 3;
  const Tensors x = random_tensors(kCase, GetParam());
  const Tensor q = x.q.narrow(2, 0, kQueries);
  AttentionShape shape = shape_of_case(GetParam());
  shape.seqlen_q = kQueries;
  const ops::OpPlan plan = ops::plan_decode_attention(shape, at::get_num_threads());
  AllocationCounter counter;
  const auto [out, lse] = ops::decode_attention(q, x.k, x.v, {}, {});
  const std::int64_t outputs = out.numel() * out.element_size() + lse.numel() * 4;
  EXPECT_EQ(counter.peak_bytes(), outputs + plan.workspace_bytes);
  EXPECT_EQ(plan.kernel_name.rfind("decode_attention_cpu_", 0), 0) << plan.kernel_name;
  EXPECT_EQ(plan.saved_bytes, 0);
}

TEST_P(Memory, NaiveAttentionHoldsOneMatrixInForwardAndOneMoreInBackward) {
  const Sizes s = sizes_of(GetParam());
  for (const double softcap : {0.0, 2.0}) {
    const ops::AttentionOptions options{.causal = true, .softcap = softcap};
    const Measured m = measure(GetParam(), [&](const Tensors& x) -> std::vector<Tensor> {
      auto [out, weights] = ops::naive_attention(x.q, x.k, x.v, options);
      return {out, weights};
    });
    const AttentionShape shape = shape_of_case(GetParam());
    const ops::OpPlan forward = ops::plan_naive_attention(shape, at::get_num_threads());
    const ops::OpPlan backward =
        ops::plan_naive_attention_backward(shape, options, at::get_num_threads());
    EXPECT_EQ(forward.saved_bytes, s.weights);
    EXPECT_EQ(backward.workspace_bytes, (softcap == 0 ? 1 : 2) * s.weights);
    const std::int64_t forward_extra =
        m.forward_peak - (s.out + forward.saved_bytes + forward.workspace_bytes);
    const std::int64_t backward_extra = m.backward_peak - (s.grads + backward.workspace_bytes);
    if (GetParam() == at::kFloat) {
      EXPECT_EQ(forward_extra, 0);
      EXPECT_EQ(backward_extra, 0);
    } else {
      // The matrix library's own scratch for narrow dtypes; never another N x N tensor.
      EXPECT_GE(forward_extra, 0);
      EXPECT_GE(backward_extra, 0);
      EXPECT_LT(forward_extra, s.weights / 2);
      EXPECT_LT(backward_extra, s.weights / 2);
    }
  }
}

TEST_P(Memory, LinearAttention) {
  const Sizes s = sizes_of(GetParam());
  for (const bool causal : {true, false}) {
    const Measured m = measure(GetParam(), [&](const Tensors& x) -> std::vector<Tensor> {
      return {ops::linear_attention(x.q, x.k, x.v, {.causal = causal})};
    });
    const AttentionShape shape = shape_of_case(GetParam());
    const int threads = at::get_num_threads();
    EXPECT_EQ(m.forward_peak,
              s.out + ops::plan_linear_attention(shape, causal, threads).workspace_bytes);
    EXPECT_EQ(
        m.backward_peak,
        s.grads + ops::plan_linear_attention_backward(shape, causal, threads).workspace_bytes);
  }
}

INSTANTIATE_TEST_SUITE_P(Dtypes, Memory, ::testing::Values(at::kFloat, at::kBFloat16));

}  // namespace
}  // namespace attnlab::testing
