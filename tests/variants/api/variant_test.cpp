#include "variants/api/variant.h"

#include <ATen/ops/equal.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kernels/core/error.h"
#include "tests/variants/variant_test_support.h"

namespace attnlab {
namespace {

using ::testing::HasSubstr;

TEST(Variant, RankTwoAndThreeGiveTheSameAsRankFour) {
  const Inputs four = test::normal_inputs(1, 1, 9, 8, true);
  for (const std::string& name : test::builtin_registry().names()) {
    const auto variant = test::make(name);
    const at::Tensor expected = variant->forward(four).out;
    Inputs three = four, two = four;
    for (at::Tensor* tensor : {&three.q, &three.k, &three.v}) *tensor = tensor->squeeze(0);
    for (at::Tensor* tensor : {&two.q, &two.k, &two.v}) *tensor = tensor->squeeze(0).squeeze(0);
    EXPECT_TRUE(at::equal(variant->forward(three).out, expected.squeeze(0))) << name;
    EXPECT_TRUE(at::equal(variant->forward(two).out, expected.squeeze(0).squeeze(0))) << name;
    EXPECT_EQ(variant->reference(two).sizes(), variant->forward(two).out.sizes()) << name;
  }
}

TEST(Variant, UnsupportedProblemsThrowTheReasonOfSupports) {
  const auto flash = test::make("flash");
  const Inputs inputs = test::normal_inputs(1, 1, 3, 300, false);
  const Support support = flash->supports(problem_of(inputs));
  ASSERT_FALSE(support.ok);
  try {
    flash->forward(inputs);
    FAIL() << "ran";
  } catch (const UnsupportedError& error) {
    EXPECT_THAT(error.what(), HasSubstr(support.reason));
  }
}

TEST(Variant, HeadsMustBeAMultipleOfKvHeads) {
  Problem problem;
  problem.heads = 6;
  problem.kv_heads = 4;
  for (const std::string& name : test::builtin_registry().names()) {
    EXPECT_THAT(test::make(name)->supports(problem).reason,
                HasSubstr("heads (6) is not a multiple of kv_heads (4)"));
  }
}

TEST(Variant, ReferenceRowsAreTheRowsOfTheReference) {
  const Inputs inputs = test::normal_inputs(1, 2, 20, 8, true);
  const at::Tensor rows = at::tensor({0, 7, 19}).to(at::kLong);
  for (const std::string& name : test::builtin_registry().names()) {
    const auto variant = test::make(name);
    EXPECT_LT(test::max_difference(variant->reference(inputs, rows),
                                   variant->reference(inputs).index_select(2, rows)),
              1e-6)
        << name;
    EXPECT_LT(test::max_difference(variant->weights(inputs, rows),
                                   variant->weights(inputs).index_select(2, rows)),
              1e-6)
        << name;
  }
}

class WrongShape : public Variant {
  VariantInfo info() const override {
    return {.name = "wrong_shape",
            .summary = "",
            .paper = "",
            .exact = true,
            .time_order = "",
            .memory_order = "",
            .extra_inputs = {{"gate", "[batch, heads, seqlen_q]", "in [0, 1]"}}};
  }
  Outputs do_forward(const Inputs& inputs) const override {
    return {.out = inputs.q.narrow(3, 0, 1), .lse = std::nullopt, .weights = std::nullopt};
  }
};

TEST(Variant, AWrongOutputShapeIsAnError) {
  Inputs inputs = test::normal_inputs(1, 1, 4, 8, false);
  inputs.extra["gate"] = at::zeros({1, 1, 4});
  try {
    WrongShape().forward(inputs);
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("[1, 1, 4, 1]"));
    EXPECT_THAT(error.what(), HasSubstr("[1, 1, 4, 8]"));
  }
}

TEST(Variant, AMissingExtraInputIsNamed) {
  try {
    WrongShape().forward(test::normal_inputs(1, 1, 4, 8, false));
    FAIL() << "accepted";
  } catch (const UnsupportedError& error) {
    EXPECT_THAT(error.what(), HasSubstr("'gate' [batch, heads, seqlen_q] is missing"));
  }
}

}  // namespace
}  // namespace attnlab
