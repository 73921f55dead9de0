// The correctness gate on real data: rounding errors of outputs and gradients stay near those of
// the plain formula while the sequence grows. Text has what random data lack: values with a common
// mean, sharp rows, scores of +-40.
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include "experiments/measure/accuracy.h"
#include "experiments/measure/inputs.h"
#include "tests/variants/variant_test_support.h"

namespace attnlab {
namespace {

class AccuracyOnText : public ::testing::TestWithParam<std::string> {};

TEST_P(AccuracyOnText, PassesTheGateAtEveryLength) {
  const auto variant = test::make(GetParam());
  for (const std::int64_t seqlen : {128, 256, 1024, 4096}) {
    Problem problem;
    problem.heads = problem.kv_heads = 2;
    problem.seqlen_q = problem.seqlen_k = seqlen;
    problem.causal = true;
    problem.direction = Direction::kForwardBackward;
    problem.threads = at::get_num_threads();
    const measure::TrialInputs data = measure::make_inputs({.name = "text", .problem = problem});
    const measure::AccuracyResult result =
        measure::measure_accuracy(*variant, data.inputs, data.grad_out, problem, {});
    EXPECT_TRUE(result.passed) << GetParam() << " at " << seqlen << ": " << result.reason;
    EXPECT_GT(result.error_ratio, 0.0);
  }
}

INSTANTIATE_TEST_SUITE_P(EveryBuiltInVariant, AccuracyOnText,
                         ::testing::ValuesIn(test::builtin_registry().names()),
                         [](const auto& test_case) { return test_case.param; });

}  // namespace
}  // namespace attnlab
