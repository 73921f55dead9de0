#include "kernels/cpu/linear_attention.h"

#include <gtest/gtest.h>

#include "kernels/core/error.h"
#include "kernels/cpu/kernel_table.h"
#include "tests/kernels/cpu/linear_case.h"

namespace attnlab::testing {
namespace {

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

/// Two whole segments and a ragged one (kernels/cpu/lanes/linear_state.h: 2048 tokens).
constexpr std::int64_t kSegment = 2048;
constexpr std::int64_t kThreeSegments = 2 * kSegment + 45;

/// The recurrence of kernels/core/linear_args.h, token by token, for the features `kElu`.
std::vector<double> recurrent_out(const LinearCase& c) {
  const std::int64_t d = c.shape.head_dim;
  const std::int64_t e = c.shape.head_dim_v;
  const auto phi = [](double x) { return x > 0 ? x + 1 : std::exp(x); };
  std::vector<double> state(static_cast<std::size_t>(d * (e + 1)), 0.0);  // a column of 1 is z
  std::vector<double> result;
  for (std::int64_t t = 0; t < c.shape.seqlen_k; ++t) {
    const double gate =
        c.options.log_decay != nullptr ? std::exp(double{c.decay[std::size_t(t)]}) : 1.0;
    std::vector<double> sums(static_cast<std::size_t>(e + 1), 0.0);
    for (std::int64_t i = 0; i < d * (e + 1); ++i) {
      const std::int64_t x = i % (e + 1);
      double& s = state[std::size_t(i)];
      s = s * gate + phi(c.k.get(0, 0, t, i / (e + 1))) * (x == e ? 1.0 : c.v.get(0, 0, t, x));
      sums[std::size_t(x)] += s * phi(c.q.get(0, 0, t, i / (e + 1)));
    }
    for (std::int64_t x = 0; x < e; ++x) result.push_back(sums[std::size_t(x)] / sums.back());
  }
  return result;
}

TEST_P(LinearAttention, SegmentsAgreeWithTheRecurrence) {
  for (const bool decays : {false, true}) {
    for (const int workers : {1, 4}) {
      LinearCase c(make_shape(1, 1, 1, kThreeSegments, kThreeSegments, 4, 3, DType::kFloat64));
      if (decays) c.use_decay(true);
      c.run(workers);
      const std::vector<double> expected = recurrent_out(c);
      EXPECT_TRUE(all_close(c.out.values(), expected, 1e-12)) << c.describe();
    }
  }
}

TEST_P(LinearAttention, GradientsAcrossSegmentsAreThoseOfTheForwardPass) {
  for (const bool decays : {false, true}) {
    LinearCase c(make_shape(1, 1, 1, kThreeSegments, kThreeSegments, 4, 3, DType::kFloat64));
    if (decays) c.use_decay(true);
    c.run(4);
    const auto loss = [&] {
      const KernelPlan plan = cpu::plan_linear_attention(c.shape, true, 4);
      Workspace workspace(plan.workspace_bytes);
      cpu::linear_attention(c.forward_args(), plan, workspace.span(), threads());
      double sum = 0.0;
      c.out.for_each([&](auto b, auto h, auto s, auto x) {
        sum += c.out.get(b, h, s, x) * c.grad_out.get(b, h, s, x);
      });
      return sum;
    };
    // The derivative along one direction in each tensor, by central differences.
    for (auto [input, grad] :
         {std::pair(&c.q, &c.grad_q), std::pair(&c.k, &c.grad_k), std::pair(&c.v, &c.grad_v)}) {
      HostTensor direction(1, 1, c.shape.seqlen_k, input->view().sizes[3], DType::kFloat64);
      direction.fill_normal(9);
      const auto move = [&](double step) {
        input->for_each([&](auto b, auto h, auto s, auto x) {
          input->set(b, h, s, x, input->get(b, h, s, x) + step * direction.get(b, h, s, x));
        });
      };
      double expected = 0.0;
      double scale = 0.0;
      input->for_each([&](auto b, auto h, auto s, auto x) {
        const double term = grad->get(b, h, s, x) * direction.get(b, h, s, x);
        expected += term;
        scale += std::abs(term);
      });
      constexpr double kStep = 1e-5;
      move(kStep);
      const double above = loss();
      move(-2 * kStep);
      const double below = loss();
      move(kStep);
      // Errors of the differences: step^2, and rounding over the step. elu bends at 0.
      EXPECT_NEAR((above - below) / (2 * kStep), expected, 1e-5 * scale) << c.describe();
    }
  }
}

TEST_P(LinearAttention, SameBitsWithAndWithoutSegmentsApart) {
  for (const DType dtype : {DType::kFloat32, DType::kBFloat16, DType::kFloat64}) {
    for (const bool normalize : {false, true}) {
      for (const int decay : {0, 1, 2}) {
        LinearCase c(make_shape(2, 2, 1, kThreeSegments, kThreeSegments, 20, 12, dtype), true,
                     normalize);
        if (decay != 0) c.use_decay(decay == 2);
        c.run(1);
        const auto expected = c.results();
        for (const int workers : {7, 20}) {
          ASSERT_GT(cpu::plan_linear_attention(c.shape, true, workers).num_workers, 4);
          c.run(workers);
          for (std::size_t i = 0; i < (decay != 0 ? 5u : 4u); ++i) {
            ASSERT_EQ(c.results()[i], expected[i]) << workers << " result " << i << c.describe();
          }
        }
      }
    }
  }
}

TEST_P(LinearAttention, BatchSliceOfASplitRunHasTheSameBits) {
  LinearCase both(make_shape(2, 1, 1, kThreeSegments, kThreeSegments, 8, 8));
  both.run(8);
  LinearCase one(make_shape(1, 1, 1, kThreeSegments, kThreeSegments, 8, 8));
  const auto copy = [](HostTensor& to, const HostTensor& from) {
    to.for_each([&](auto b, auto h, auto s, auto x) { to.set(b, h, s, x, from.get(1, h, s, x)); });
  };
  copy(one.q, both.q);
  copy(one.k, both.k);
  copy(one.v, both.v);
  copy(one.grad_out, both.grad_out);
  one.run(8);
  const auto expect_equal = [](const HostTensor& slice, const HostTensor& whole) {
    slice.for_each([&](auto b, auto h, auto s, auto x) {
      ASSERT_EQ(slice.get(b, h, s, x), whole.get(1, h, s, x)) << "row " << s;
    });
  };
  expect_equal(one.out, both.out);
  expect_equal(one.grad_q, both.grad_q);
  expect_equal(one.grad_k, both.grad_k);
  expect_equal(one.grad_v, both.grad_v);
}

TEST_P(LinearAttention, BadTokensAtSegmentBoundaries) {
  for (const int workers : {1, 4}) {
    for (const std::int64_t token : {kSegment - 1, kSegment}) {
      LinearCase clean(make_shape(1, 1, 1, kThreeSegments, kThreeSegments, 8, 8));
      LinearCase bad_kv(clean.shape);
      LinearCase bad_q(clean.shape);
      bad_kv.v.fill_row(token, std::nan(""));
      bad_kv.k.fill_row(token, std::nan(""));
      bad_q.q.fill_row(token, std::nan(""));
      bad_q.grad_out.fill_row(token, std::nan(""));
      for (LinearCase* c : {&clean, &bad_kv, &bad_q}) c->run(workers);
      const auto before = [&](std::int64_t s) { return s < token; };
      const auto after = [&](std::int64_t s) { return s > token; };
      expect_rows(bad_kv.out, clean.out, "out", before);
      expect_rows(bad_kv.grad_q, clean.grad_q, "grad_q", before);
      expect_rows(bad_q.grad_k, clean.grad_k, "grad_k", after);
      expect_rows(bad_q.grad_v, clean.grad_v, "grad_v", after);
    }
  }
}

TEST_P(LinearAttention, SplitMemoryGrowsNoFasterThanTheLength) {
  const auto bytes = [](std::int64_t n) {
    return cpu::plan_linear_attention_backward(make_shape(1, 1, 1, n, n, 64, 64), true, 8)
        .workspace_bytes;
  };
  // Two numbers per token, a state of 64 x 64 per segment in each direction, and a worker's tiles.
  const std::int64_t per_segment = 2 * 4 * kSegment + 2 * 4 * (64 * 64 + 3 * 64);
  EXPECT_LE(bytes(64 * kSegment) - bytes(32 * kSegment), 33 * per_segment);
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
