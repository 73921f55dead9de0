#include "variants/api/declared_tensors.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/equal.h>
#include <gmock/gmock.h>

#include "kernels/core/error.h"
#include "tests/variants/variant_test_support.h"
#include "variants/api/softmax_reference.h"

namespace attnlab {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

VariantInfo declaring() {
  VariantInfo about;
  about.name = "gated";
  about.extra_inputs = {{"gate", "[batch, heads, seqlen_k]", "in [0, 1]"},
                        {"bias", "[heads]", "added to scores", /*optional=*/true}};
  about.parameters = {{"weight", "[heads, head_dim, head_dim_v]", "W"}};
  return about;
}

Problem small() {
  Problem problem;
  problem.batch = 2;
  problem.heads = problem.kv_heads = 3;
  problem.seqlen_q = problem.seqlen_k = 5;
  problem.head_dim = 4;
  problem.head_dim_v = 6;
  return problem;
}

std::string refusal(const std::map<std::string, at::Tensor>& given) {
  try {
    check_declared_tensors(declaring(), given, small());
  } catch (const UnsupportedError& error) {
    return error.what();
  }
  return "accepted";
}

TEST(DeclaredTensors, SizesFollowTheNamesOfTheShape) {
  EXPECT_THAT(declared_sizes("x", "[batch, heads, kv_heads]", small()), ElementsAre(2, 3, 3));
  EXPECT_THAT(declared_sizes("x", "[seqlen_q, seqlen_k, head_dim, head_dim_v]", small()),
              ElementsAre(5, 5, 4, 6));
  try {
    declared_sizes("x", "[heads, width]", small());
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("'width'"));
  }
}

TEST(DeclaredTensors, MissingWrongAndUndeclaredOnesAreNamed) {
  const at::Tensor gate = at::zeros({2, 3, 5}), weight = at::zeros({3, 4, 6});
  EXPECT_EQ(refusal({{"gate", gate}, {"weight", weight}}), "accepted");
  EXPECT_THAT(refusal({{"weight", weight}}), HasSubstr("extra input 'gate'"));
  EXPECT_THAT(refusal({{"gate", gate}}), HasSubstr("parameter 'weight'"));
  EXPECT_THAT(refusal({{"gate", gate}, {"weight", weight}, {"bias", at::zeros({4})}}),
              AllOf(HasSubstr("[4]"), HasSubstr("[heads] is [3]")));
  EXPECT_THAT(refusal({{"gate", gate}, {"weight", weight}, {"biass", at::zeros({3})}}),
              AllOf(HasSubstr("no extra input 'biass'"), HasSubstr("'bias'")));
}

TEST(DeclaredTensors, MadeOnesFitAndAreTheSameForTheSameSeed) {
  Problem problem = small();
  problem.dtype = at::kBFloat16;
  const auto make = [&](bool with_optional) {
    at::Generator generator = at::detail::createCPUGenerator(3);
    return make_declared_tensors(declaring(), problem, generator, with_optional);
  };
  const auto made = make(false);
  EXPECT_EQ(made.size(), 2U);
  EXPECT_EQ(make(true).size(), 3U);
  EXPECT_NO_THROW(check_declared_tensors(declaring(), make(true), problem));
  EXPECT_EQ(made.at("gate").scalar_type(), at::kFloat);
  EXPECT_EQ(made.at("weight").scalar_type(), at::kBFloat16);
  EXPECT_TRUE(at::equal(made.at("weight"), make(false).at("weight")));
  EXPECT_EQ(declared_bytes(declaring(), problem), 2 * 3 * 5 * 4 + 3 * 4 * 6 * 2);
}

TEST(DeclaredTensors, ParametersStartWithTheVarianceOfTheirFanIn) {
  VariantInfo about;
  about.parameters = {{"weight", "[head_dim, head_dim]", ""}};
  Problem problem;
  problem.head_dim = 256;
  at::Generator generator = at::detail::createCPUGenerator(5);
  const at::Tensor weight = make_declared_tensors(about, problem, generator).at("weight");
  // 65536 values: the deviation's own deviation is 1 / sqrt(2 * 65536) = 0.3 %.
  EXPECT_NEAR(weight.std().item<double>() * 16, 1.0, 0.02);
}

TEST(DeclaredTensors, VariantsThatTakeNoSlopesRefuseThem) {
  Inputs inputs = test::normal_inputs(1, 2, 4, 8, /*causal=*/true);
  inputs.extra["alibi_slopes"] = at::tensor({0.5f, 0.25f});
  for (const std::string name : {"linear", "torch_sdpa"}) {
    EXPECT_THROW(test::make(name)->forward(inputs), UnsupportedError) << name;
    EXPECT_THROW(test::make(name)->reference(inputs), UnsupportedError) << name;
  }
}

TEST(DeclaredTensors, SlopesTakeTheDistanceOffTheScores) {
  // Scores are 0, so weights are softmax(-slope * distance): ln 2 halves from key to key.
  Inputs inputs{.q = at::zeros({1, 1, 3, 4}), .k = at::zeros({1, 1, 3, 4}), .v = {}};
  inputs.v = at::tensor({7.f, 14.f, 28.f}).view({1, 1, 3, 1});
  inputs.causal = true;
  inputs.extra["alibi_slopes"] = at::tensor({std::log(2.0f)});
  const std::vector<double> expected = {7, (14 * 2 + 7) / 3.0, (28 * 4 + 14 * 2 + 7) / 7.0};
  for (const std::string name : {"full", "flash", "sliding_window"}) {
    const auto variant = test::make(name);
    test::expect_values(variant->forward(inputs).out, expected, 1e-5);
    test::expect_values(variant->reference(inputs), expected, 1e-5);
  }
}

}  // namespace
}  // namespace attnlab
