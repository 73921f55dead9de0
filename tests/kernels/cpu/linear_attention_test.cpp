#include "kernels/cpu/linear_attention.h"

#include <gtest/gtest.h>

#include "kernels/core/error.h"
#include "kernels/cpu/kernel_table.h"
#include "tests/kernels/cpu/attention_case.h"
#include "tests/support/tolerance.h"

namespace attnlab::testing {
namespace {

struct LinearCase {
  AttentionShape shape;
  LinearOptions options;
  HostTensor q, k, v, out, grad_out, grad_q, grad_k, grad_v, grad_decay;
  std::vector<float> decay;

  explicit LinearCase(const AttentionShape& s, bool causal = true, bool normalize = true,
                      FeatureMapKind kind = FeatureMapKind::kElu,
                      Layout layout = Layout::kHeadsFirst)
      : shape(s),
        q(s.batch, s.heads, s.seqlen_q, s.head_dim, s.dtype, layout),
        k(s.batch, s.kv_heads, s.seqlen_k, s.head_dim, s.dtype, layout),
        v(s.batch, s.kv_heads, s.seqlen_k, s.head_dim_v, s.dtype, layout),
        out(s.batch, s.heads, s.seqlen_q, s.head_dim_v, s.dtype, layout),
        grad_out(s.batch, s.heads, s.seqlen_q, s.head_dim_v, s.dtype, layout),
        grad_q(s.batch, s.heads, s.seqlen_q, s.head_dim, s.dtype, layout),
        grad_k(s.batch, s.kv_heads, s.seqlen_k, s.head_dim, s.dtype, layout),
        grad_v(s.batch, s.kv_heads, s.seqlen_k, s.head_dim_v, s.dtype, layout),
        grad_decay(s.batch, s.heads, s.seqlen_q, 1, DType::kFloat32) {
    options = {kind, causal, normalize};
    q.fill_normal(1, 0.5);
    k.fill_normal(2, 0.5);
    v.fill_normal(3);
    grad_out.fill_normal(4);
  }
  LinearCase(const LinearCase&) = delete;
  LinearCase& operator=(const LinearCase&) = delete;

  /// Per token, or one value per head.
  void use_decay(bool per_token) {
    const std::int64_t length = per_token ? shape.seqlen_k : 1;
    for (std::int64_t i = 0; i < shape.batch * shape.heads * length; ++i) {
      decay.push_back(-0.01f * static_cast<float>(1 + i % 7));
    }
    options.log_decay = decay.data();
    options.decay_batch_stride = shape.heads * length;
    options.decay_head_stride = length;
    options.decay_token_stride = per_token ? 1 : 0;
  }

  LinearAttentionArgs forward_args() const {
    return {shape, options, q.view(), k.view(), v.view(), out.view()};
  }
  LinearAttentionBackwardArgs backward_args() const {
    return {shape,
            options,
            q.view(),
            k.view(),
            v.view(),
            out.view(),
            grad_out.view(),
            grad_q.view(),
            grad_k.view(),
            grad_v.view(),
            options.log_decay != nullptr ? grad_decay.view() : TensorView{}};
  }

  void run(int workers = 2) {
    out.poison();
    grad_q.poison();
    grad_k.poison();
    grad_v.poison();
    grad_decay.poison();
    const KernelPlan plan = cpu::plan_linear_attention(shape, options.causal, workers);
    Workspace workspace(plan.workspace_bytes);
    cpu::linear_attention(forward_args(), plan, workspace.span(), threads());
    const KernelPlan back = cpu::plan_linear_attention_backward(shape, options.causal, workers);
    Workspace back_workspace(back.workspace_bytes);
    cpu::linear_attention_backward(backward_args(), back, back_workspace.span(), threads());
  }

  std::vector<std::vector<double>> results() const {
    return {out.values(), grad_q.values(), grad_k.values(), grad_v.values(), grad_decay.values()};
  }

  void expect_reference() {
    run();
    const auto expected = reference_linear_attention(shape, options, q, k, v);
    // A sum over d products of features inside each of the N weights.
    const std::int64_t terms = shape.seqlen_k * shape.head_dim;
    EXPECT_TRUE(
        all_close(out.values(), expected, tolerance(shape.dtype, magnitude_of(expected), terms)))
        << "out " << describe();
    const ReferenceGradients grads = reference_linear_gradients(shape, options, q, k, v, grad_out);
    const auto close = [&](const HostTensor& actual, const std::vector<double>& reference) {
      return all_close(
          actual.values(), reference,
          gradient_tolerance(shape.dtype, magnitude_of(reference), terms, shape.head_dim_v));
    };
    EXPECT_TRUE(close(grad_q, grads.grad_q)) << "grad_q " << describe();
    EXPECT_TRUE(close(grad_k, grads.grad_k)) << "grad_k " << describe();
    EXPECT_TRUE(close(grad_v, grads.grad_v)) << "grad_v " << describe();
    if (options.log_decay == nullptr) return;
    // Differences of sums over the sequence: as large as the sums themselves.
    const double allowed = tolerance(DType::kFloat32, magnitude_of(grads.grad_log_decay), terms) +
                           gradient_tolerance(shape.dtype, magnitude_of(grads.grad_log_decay),
                                              terms, shape.head_dim_v * shape.seqlen_q);
    EXPECT_TRUE(all_close(grad_decay.values(), grads.grad_log_decay, allowed))
        << "grad_log_decay " << describe();
  }

  std::string describe() const {
    return std::string(dtype_name(shape.dtype)) + " seqlen " + std::to_string(shape.seqlen_q) +
           "/" + std::to_string(shape.seqlen_k) + " dim " + std::to_string(shape.head_dim) + "/" +
           std::to_string(shape.head_dim_v) + (options.causal ? " causal" : " full") +
           (options.normalize ? " normalized" : "") +
           (options.log_decay != nullptr ? " decay" : "");
  }
};

class LinearAttention : public ::testing::TestWithParam<cpu::Isa> {
 protected:
  void SetUp() override { cpu::override_isa_for_testing(GetParam()); }
};

INSTANTIATE_TEST_SUITE_P(Isa, LinearAttention, ::testing::ValuesIn(cpu::available_isas()),
                         [](const auto& set) { return cpu::isa_name(set.param); });

TEST_P(LinearAttention, HandComputed) {
  // Identity features, two tokens: out_0 = v_0, out_1 = (2*1*v_0*g + 2*3*v_1) / (2*1*g + 2*3), g =
  // 1/2.
  LinearCase c(make_shape(1, 1, 1, 2, 2, 1, 1), true, true, FeatureMapKind::kIdentity);
  c.decay = {0.0f, std::log(0.5f)};
  c.options.log_decay = c.decay.data();
  c.options.decay_token_stride = 1;
  c.q.set(0, 0, 0, 0, 5.0);
  c.q.set(0, 0, 1, 0, 2.0);
  c.k.set(0, 0, 0, 0, 1.0);
  c.k.set(0, 0, 1, 0, 3.0);
  c.v.set(0, 0, 0, 0, 10.0);
  c.v.set(0, 0, 1, 0, 20.0);
  c.run();
  EXPECT_NEAR(c.out.get(0, 0, 0, 0), 10.0, 1e-5);
  EXPECT_NEAR(c.out.get(0, 0, 1, 0), 130.0 / 7.0, 1e-5);
}

TEST_P(LinearAttention, LengthsAndDims) {
  for (const std::int64_t n : {1, 2, 17, 63, 64, 65, 131}) {
    for (const auto& [d, dv] : std::vector<std::pair<int, int>>{{1, 3}, {16, 16}, {20, 37}}) {
      LinearCase(make_shape(1, 2, 1, n, n, d, dv)).expect_reference();
    }
  }
}

TEST_P(LinearAttention, OptionsAndDtypes) {
  for (const DType dtype : kDTypes) {
    for (const bool normalize : {false, true}) {
      for (const FeatureMapKind kind : {FeatureMapKind::kElu, FeatureMapKind::kRelu}) {
        LinearCase plain(make_shape(2, 4, 2, 70, 70, 12, 9, dtype), true, normalize, kind,
                         Layout::kSeqlenFirst);
        plain.expect_reference();
        for (const bool per_token : {false, true}) {
          LinearCase c(make_shape(2, 4, 2, 150, 150, 12, 9, dtype), true, normalize, kind);
          c.use_decay(per_token);
          c.expect_reference();
        }
      }
    }
  }
}

TEST_P(LinearAttention, NotCausalWithCrossLengths) {
  for (const DType dtype : kDTypes) {
    for (const bool normalize : {false, true}) {
      for (const auto& [nq, nk] :
           std::vector<std::pair<int, int>>{{1, 70}, {65, 1}, {64, 64}, {70, 130}}) {
        LinearCase c(make_shape(2, 4, 2, nq, nk, 12, 20, dtype), false, normalize);
        c.expect_reference();
      }
    }
  }
}

TEST_P(LinearAttention, DecayOfMinusInfinityForgetsEverything) {
  LinearCase c(make_shape(1, 1, 1, 100, 100, 8, 8));
  c.use_decay(true);
  c.decay[70] = -std::numeric_limits<float>::infinity();
  c.run();
  const auto expected = reference_linear_attention(c.shape, c.options, c.q, c.k, c.v);
  EXPECT_TRUE(
      all_close(c.out.values(), expected, tolerance(DType::kFloat32, magnitude_of(expected), 800)));
  for (const auto& values : c.results()) {
    for (const double x : values) ASSERT_TRUE(std::isfinite(x));
  }
}

TEST_P(LinearAttention, DenominatorOfZeroGivesZero) {
  LinearCase c(make_shape(1, 1, 1, 70, 70, 4, 4), true, true, FeatureMapKind::kRelu);
  c.q.fill_row(3, -1.0);
  c.q.fill_row(65, -1.0);
  c.run();
  for (const std::int64_t row : {3, 65}) {
    for (std::int64_t x = 0; x < 4; ++x) {
      EXPECT_EQ(c.out.get(0, 0, row, x), 0.0);
      EXPECT_EQ(c.grad_q.get(0, 0, row, x), 0.0);
    }
  }
  c.expect_reference();
}

/// Rows with clean(s) are bit-equal; the others hold no finite number.
void expect_rows(const HostTensor& actual, const HostTensor& expected, const char* what,
                 const std::function<bool(std::int64_t)>& clean) {
  actual.for_each([&](auto b, auto h, auto s, auto c) {
    if (clean(s)) {
      ASSERT_EQ(actual.get(b, h, s, c), expected.get(b, h, s, c)) << what << " row " << s;
    } else {
      ASSERT_TRUE(std::isnan(actual.get(b, h, s, c))) << what << " row " << s << " hides the NaN";
    }
  });
}

TEST_P(LinearAttention, BadTokensReachOnlyWhatDependsOnThem) {
  for (const bool decays : {false, true}) {
    for (const std::int64_t token : {0, 10, 63, 64, 99}) {
      LinearCase clean(make_shape(1, 1, 1, 100, 100, 8, 8));
      LinearCase bad_kv(clean.shape);
      LinearCase bad_grad(clean.shape);
      LinearCase bad_q(clean.shape);
      for (LinearCase* c : {&clean, &bad_kv, &bad_grad, &bad_q}) {
        if (decays) c->use_decay(true);
      }
      bad_kv.v.fill_row(token, std::nan(""));
      bad_kv.k.fill_row(token, std::nan(""));
      bad_grad.grad_out.fill_row(token, std::nan(""));
      bad_q.q.fill_row(token, std::nan(""));
      for (LinearCase* c : {&clean, &bad_kv, &bad_grad, &bad_q}) c->run();
      const auto before = [&](std::int64_t s) { return s < token; };
      const auto after = [&](std::int64_t s) { return s > token; };
      const auto other = [&](std::int64_t s) { return s != token; };
      expect_rows(bad_kv.out, clean.out, "out", before);
      expect_rows(bad_kv.grad_q, clean.grad_q, "grad_q", before);
      expect_rows(bad_grad.out, clean.out, "out", [](std::int64_t) { return true; });
      expect_rows(bad_grad.grad_q, clean.grad_q, "grad_q", other);
      expect_rows(bad_grad.grad_k, clean.grad_k, "grad_k", after);
      expect_rows(bad_grad.grad_v, clean.grad_v, "grad_v", after);
      expect_rows(bad_q.out, clean.out, "out", other);
      expect_rows(bad_q.grad_q, clean.grad_q, "grad_q", other);
      expect_rows(bad_q.grad_k, clean.grad_k, "grad_k", after);
      expect_rows(bad_q.grad_v, clean.grad_v, "grad_v", after);
    }
  }
}

TEST_P(LinearAttention, SameBitsForAnyNumberOfWorkers) {
  for (const bool causal : {false, true}) {
    LinearCase c(make_shape(3, 4, 2, 140, 140, 20, 12), causal);
    if (causal) c.use_decay(true);
    c.run(1);
    const auto expected = c.results();
    for (const int workers : {2, 5}) {
      c.run(workers);
      // The gradient of the decay is NaN from the poison where it is not asked for.
      for (std::size_t i = 0; i < (causal ? 5u : 4u); ++i) {
        EXPECT_EQ(c.results()[i], expected[i]) << workers;
      }
    }
  }
}

TEST_P(LinearAttention, ForwardMemoryDoesNotDependOnTheLength) {
  const AttentionShape small = make_shape(1, 4, 4, 1000, 1000, 64, 64);
  const AttentionShape large = make_shape(1, 4, 4, 100000, 100000, 64, 64);
  EXPECT_EQ(cpu::plan_linear_attention(small, true, 4).workspace_bytes,
            cpu::plan_linear_attention(large, true, 4).workspace_bytes);
  const KernelPlan backward = cpu::plan_linear_attention_backward(large, true, 1);
  // Three numbers per token of one head, beyond the chunk's tiles.
  EXPECT_LE(backward.workspace_bytes, 3 * 4 * 100000 + (1 << 20));
}

TEST_P(LinearAttention, RefusesWhatItCannotDo) {
  EXPECT_THROW(cpu::plan_linear_attention(make_shape(1, 1, 1, 3, 4, 8, 8), true, 1),
               UnsupportedError);
  EXPECT_THROW(cpu::plan_linear_attention(make_shape(1, 3, 2, 4, 4, 8, 8), true, 1),
               UnsupportedError);
  LinearCase c(make_shape(1, 1, 1, 4, 4, 8, 8), false);
  c.use_decay(false);
  EXPECT_THROW(c.run(), UnsupportedError);
}

}  // namespace
}  // namespace attnlab::testing
