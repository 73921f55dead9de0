// Every registered variant keeps every property; and the suite itself notices broken variants.
#include "variants/api/conformance.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/matmul.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/variants/variant_test_support.h"
#include "variants/api/softmax_reference.h"

namespace attnlab {
namespace {

using OptionMap = std::map<std::string, OptionValue>;

void expect_conforms(const std::string& name, const OptionMap& options) {
  int checked = 0;
  for (const PropertyResult& result : check_conformance(test::builtin_registry(), name, options)) {
    EXPECT_TRUE(result.passed)
        << name << " "
        << Options("", test::builtin_registry().entry(name).option_specs, options).to_json() << ": "
        << result.property << " on " << result.problem << ": " << result.detail;
    checked += result.skipped ? 0 : 1;
  }
  EXPECT_GT(checked, 200) << name;
}

class Conformance : public ::testing::TestWithParam<std::string> {};

TEST_P(Conformance, KeepsEveryProperty) { expect_conforms(GetParam(), {}); }

INSTANTIATE_TEST_SUITE_P(EveryRegisteredVariant, Conformance,
                         ::testing::ValuesIn(test::builtin_registry().names()),
                         [](const auto& test_case) { return test_case.param; });

TEST(ConformanceOptions, SlidingWindowOfOtherWidths) {
  for (const std::int64_t window : {0, 7, 100000}) {
    expect_conforms("sliding_window", {{"window", window}});
  }
}

TEST(ConformanceOptions, LinearWithOtherFeatureMaps) {
  expect_conforms("linear", {{"feature_map", std::string("relu")}});
  expect_conforms("linear", {{"feature_map", std::string("identity")}, {"normalize", false}});
}

TEST(ConformanceOptions, FullWithOtherScores) {
  for (const std::string score : {"dot", "general", "cosine", "rbf", "additive"}) {
    expect_conforms("full", {{"score", score}});
  }
}

// A variant with one fault, to see that the suite finds it.
class Faulty : public Variant {
 public:
  explicit Faulty(std::string fault) : fault_(std::move(fault)) {}
  VariantInfo info() const override {
    return {.name = "faulty",
            .summary = "",
            .paper = "",
            .exact = true,
            .time_order = "N^2",
            .memory_order = "N^2",
            .extra_inputs = {alibi_slopes_input()},
            .parameters = {{"weight", "[heads, head_dim, head_dim]", "W of q^T W k"}}};
  }

 protected:
  Support do_supports(const Problem& problem) const override {
    if (fault_ == "supports_too_little" && problem.causal) return Support::no("says no");
    return Support::yes();
  }
  Outputs do_forward(const Inputs& inputs) const override {
    Inputs used = inputs;
    if (fault_ == "not_causal") used.causal = false;
    if (fault_ == "ignores_scale") used.scale = 1.0;
    if (fault_ == "mixes_batch") used.v = inputs.v + inputs.v.mean();
    if (fault_ == "ignores_slopes") used.extra.erase("alibi_slopes");
    if (fault_ == "detached_weight") used.extra["weight"] = used.extra["weight"].detach();
    used = with_weight(used);
    at::Tensor out = softmax_reference(used, {.causal = used.causal}, {});
    if (fault_ == "detached") out = inputs.q.sum() * 0 + out.detach();
    if (fault_ == "wrong_dtype") out = out.to(at::kDouble);
    if (fault_ == "small_bias") out = out + 1e-5;
    return {.out = out, .lse = std::nullopt, .weights = std::nullopt};
  }
  at::Tensor do_reference(const Inputs& inputs, const at::Tensor& rows) const override {
    return softmax_reference(with_weight(inputs), {.causal = inputs.causal}, rows);
  }

 private:
  static Inputs with_weight(const Inputs& inputs) {
    Inputs used = inputs;
    used.q = at::matmul(inputs.q, inputs.extra.at("weight").to(inputs.q.scalar_type()));
    return used;
  }

  std::string fault_;
};

std::vector<std::string> failed_properties(const std::string& fault) {
  Registry registry;
  registry.add({.name = "faulty",
                .option_specs = {},
                .factory = [&](const Options&) { return std::make_unique<Faulty>(fault); },
                .origin = "test"});
  std::vector<std::string> failed;
  for (const PropertyResult& result : check_conformance(registry, "faulty")) {
    if (!result.passed) failed.push_back(result.property);
  }
  return failed;
}

TEST(ConformanceSuite, FindsPlantedFaults) {
  using ::testing::Contains;
  EXPECT_THAT(failed_properties("not_causal"), Contains("equals_reference"));
  EXPECT_THAT(failed_properties("not_causal"), Contains("causal_rows_ignore_later_keys"));
  EXPECT_THAT(failed_properties("ignores_scale"), Contains("equals_reference"));
  EXPECT_THAT(failed_properties("mixes_batch"), Contains("batch_items_are_independent"));
  EXPECT_THAT(failed_properties("detached"), Contains("grad_v_equals_reference"));
  EXPECT_THAT(failed_properties("ignores_slopes"), Contains("equals_reference"));
  EXPECT_THAT(failed_properties("detached_weight"), Contains("grad_weight_equals_reference"));
  EXPECT_THAT(failed_properties("wrong_dtype"), Contains("keeps_the_dtype"));
  EXPECT_THAT(failed_properties("small_bias"), Contains("equals_reference"));
  // The plain formula leaks 0 * NaN, and nothing else is wrong with it.
  EXPECT_THAT(failed_properties("none"),
              ::testing::Each(::testing::Eq("masked_nan_reaches_no_row")));
}

}  // namespace
}  // namespace attnlab
