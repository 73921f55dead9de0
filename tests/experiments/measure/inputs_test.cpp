#include "experiments/measure/inputs.h"

#include <ATen/Parallel.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/isfinite.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "experiments/measure/memory.h"
#include "kernels/core/error.h"
#include "tests/experiments/measure/fake_variant.h"
#include "variants/api/softmax_reference.h"

namespace attnlab::measure {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Problem cross_problem() {
  Problem problem = small_problem(Direction::kForwardBackward);
  problem.heads = 4;
  problem.seqlen_q = 40;
  problem.head_dim_v = 12;
  return problem;
}

class InputsTest : public testing::TestWithParam<std::string> {
 protected:
  TrialInputs make(const Problem& problem, std::uint64_t seed = 0) const {
    return make_inputs({.name = GetParam(), .problem = problem, .seed = seed});
  }
};

INSTANTIATE_TEST_SUITE_P(Kinds, InputsTest, testing::ValuesIn(input_names()),
                         [](const auto& kind) { return kind.param; });

TEST_P(InputsTest, ShapesAndLayout) {
  const TrialInputs made = make(cross_problem());
  EXPECT_THAT(made.inputs.q.sizes(), ElementsAre(2, 4, 40, 8));
  EXPECT_THAT(made.inputs.k.sizes(), ElementsAre(2, 2, 96, 8));
  EXPECT_THAT(made.inputs.v.sizes(), ElementsAre(2, 2, 96, 12));
  EXPECT_THAT(made.grad_out.sizes(), ElementsAre(2, 4, 40, 12));
  EXPECT_TRUE(made.inputs.causal);
  for (const auto& tensor : {made.inputs.q, made.inputs.k, made.inputs.v, made.grad_out}) {
    EXPECT_TRUE(tensor.is_contiguous());
    EXPECT_FALSE(tensor.requires_grad());
    EXPECT_TRUE(at::isfinite(tensor).all().item<bool>());
  }
}

TEST_P(InputsTest, DirectionsDifferInGradOutOnly) {
  const TrialInputs forward = make(small_problem());
  const TrialInputs both = make(small_problem(Direction::kForwardBackward));
  EXPECT_FALSE(forward.grad_out.defined());
  EXPECT_TRUE(at::equal(forward.inputs.q, both.inputs.q));
  EXPECT_TRUE(at::equal(forward.inputs.v, both.inputs.v));
}

TEST_P(InputsTest, SameBitsForAnyNumberOfThreadsAndAnotherSeedDiffers) {
  Problem problem = small_problem();
  problem.seqlen_q = problem.seqlen_k = 700;
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  const TrialInputs one = make(problem);
  at::set_num_threads(3);
  const TrialInputs three = make(problem);
  at::set_num_threads(threads);
  EXPECT_TRUE(at::equal(one.inputs.q, three.inputs.q));
  EXPECT_TRUE(at::equal(one.inputs.k, three.inputs.k));
  EXPECT_TRUE(at::equal(one.inputs.v, three.inputs.v));
  EXPECT_FALSE(at::equal(one.inputs.q, make(problem, 1).inputs.q));
}

TEST_P(InputsTest, EveryDtypeIsTheRoundedFloat32) {
  Problem problem = small_problem();
  const at::Tensor q = make(problem).inputs.q;
  for (const auto dtype : {at::kDouble, at::kHalf, at::kBFloat16}) {
    problem.dtype = dtype;
    const at::Tensor rounded = make(problem).inputs.q;
    EXPECT_EQ(rounded.scalar_type(), dtype);
    EXPECT_TRUE(at::equal(rounded, q.to(dtype)));
  }
}

TEST_P(InputsTest, NothingButTheTensorsStaysAlive) {
  install_counting_allocator();
  Problem problem = small_problem();
  problem.dtype = at::kHalf;
  const std::int64_t before = live_bytes();
  const TrialInputs made = make(problem);
  EXPECT_EQ(live_bytes() - before, problem.q_bytes() + problem.k_bytes() + problem.v_bytes());
}

TEST_P(InputsTest, HeadsAndBatchItemsDiffer) {
  const at::Tensor k = make(small_problem()).inputs.k;
  EXPECT_FALSE(at::equal(k.select(1, 0), k.select(1, 1)));
  EXPECT_FALSE(at::equal(k.select(0, 0), k.select(0, 1)));
}

TEST(InputsNamesTest, UnknownNamesAndOptionsAreErrors) {
  const Problem problem = small_problem();
  try {
    make_inputs({.name = "gausian", .problem = problem});
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_THAT(error.what(), HasSubstr("'gausian'; known: gaussian, text"));
    EXPECT_THAT(error.what(), HasSubstr("Did you mean 'gaussian'?"));
  }
  EXPECT_THROW(make_inputs({.name = "text", .options = {{"gian", 3.0}}, .problem = problem}),
               ConfigError);
}

TEST(TextInputsTest, ATextThatIsTooShortIsAnErrorWithTheMaximum) {
  Problem problem = small_problem();
  problem.seqlen_k = 600'000;
  try {
    make_inputs({.name = "text", .problem = problem});
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_THAT(error.what(), HasSubstr("length of at most 499904"));
  }
}

TEST(TextInputsTest, DiffersFromGaussian) {
  const Problem problem = small_problem();
  const auto text = make_inputs({.name = "text", .problem = problem});
  const auto gaussian = make_inputs({.name = "gaussian", .problem = problem});
  EXPECT_FALSE(at::equal(text.inputs.q, gaussian.inputs.q));
  // Neighbours share most of their recent letters and their place.
  const auto cosine = [](const at::Tensor& k) {
    const at::Tensor a = k.narrow(2, 0, 95);
    const at::Tensor b = k.narrow(2, 1, 95);
    return (a.mul(b).sum(-1)).div(a.norm(2, -1).mul(b.norm(2, -1))).mean().item<double>();
  };
  EXPECT_GT(cosine(text.inputs.k), 0.25);
  EXPECT_LT(cosine(gaussian.inputs.k), 0.1);
}

// Effective number of keys of a head: exp of the mean entropy of its attention rows.
std::vector<double> effective_keys(bool causal, std::int64_t head_dim) {
  Problem problem;
  problem.heads = problem.kv_heads = 4;
  problem.seqlen_q = problem.seqlen_k = 1024;
  problem.head_dim = problem.head_dim_v = head_dim;
  problem.causal = causal;
  const Inputs inputs = make_inputs({.name = "text", .problem = problem}).inputs;
  const at::Tensor weights = softmax_weights(inputs, {.causal = causal}, {});
  const at::Tensor entropy = weights.mul(weights.clamp_min(1e-30).log()).sum(-1).neg().mean(-1);
  std::vector<double> keys;
  for (std::int64_t h = 0; h < 4; ++h) keys.push_back(std::exp(entropy[0][h].item<double>()));
  return keys;
}

TEST(TextInputsTest, AttentionIsNeitherUniformNorOneHot) {
  for (const std::int64_t head_dim : {32, 64, 128}) {
    for (const bool causal : {false, true}) {
      const auto keys = effective_keys(causal, head_dim);
      SCOPED_TRACE(testing::Message() << "head_dim " << head_dim << " causal " << causal << ": "
                                      << testing::PrintToString(keys));
      for (const double count : keys) {
        EXPECT_GT(count, 5);
        EXPECT_LT(count, 200);
      }
    }
  }
}

TEST(TextInputsTest, QueriesOfCrossLengthsAreTheLastPositions) {
  Problem problem = small_problem();
  const Inputs whole = make_inputs({.name = "text", .problem = problem}).inputs;
  problem.seqlen_q = 10;
  const Inputs tail = make_inputs({.name = "text", .problem = problem}).inputs;
  EXPECT_TRUE(at::equal(tail.q, whole.q.narrow(2, 86, 10)));
  EXPECT_TRUE(at::equal(tail.k, whole.k));
}

}  // namespace
}  // namespace attnlab::measure
