#include "experiments/models/causality.h"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <set>

#include "kernels/core/error.h"
#include "tests/experiments/models/tiny_model.h"
#include "variants/api/softmax_reference.h"

namespace attnlab {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

/// Full attention in which queries see one key too many to the right: the mistake of a mask that
/// says < where it should say <=. With `chunk` > 0 only at the end of each chunk.
class OffByOne : public Variant {
 public:
  explicit OffByOne(std::int64_t chunk) : chunk_(chunk) {}
  VariantInfo info() const override {
    return {.name = "off_by_one",
            .summary = "planted",
            .paper = "",
            .time_order = "N^2",
            .memory_order = "N^2"};
  }

 protected:
  Outputs do_forward(const Inputs &inputs) const override {
    const std::int64_t seqlen = inputs.q.size(2);
    const at::Tensor honest = softmax_reference(inputs, {.causal = true}, {});
    const at::Tensor leaking = softmax_reference(inputs, {.window_right = 1}, {});
    at::Tensor out = leaking;
    if (chunk_ > 0) {
      out = honest.clone();
      for (std::int64_t p = chunk_ - 1; p < seqlen; p += chunk_) {
        out.select(2, p).copy_(leaking.select(2, p));
      }
    }
    return {.out = out, .lse = std::nullopt, .weights = std::nullopt};
  }

 private:
  std::int64_t chunk_;
};

struct OneThread {
  OneThread() : threads(at::get_num_threads()) { at::set_num_threads(1); }
  ~OneThread() { at::set_num_threads(threads); }
  int threads;
};

SequenceModel off_by_one(std::int64_t seqlen, std::int64_t chunk) {
  std::vector<std::unique_ptr<Variant>> layers;
  layers.push_back(std::make_unique<OffByOne>(chunk));
  return tiny_model(tiny_options(seqlen), std::move(layers));
}

TEST(Causality, NoBuiltinVariantLooksAheadWithAnyPositions) {
  constexpr std::int64_t kSeqlen = 150;  // more than one tile, and no multiple of one
  const OneThread one_thread;            // hundreds of small calls, for which threads are no gain
  Registry registry;
  register_builtin_variants(registry);
  for (const std::string &variant : registry.names()) {
    for (const Positions positions :
         {Positions::kNone, Positions::kLearned, Positions::kSinusoidal, Positions::kRotary}) {
      for (const at::ScalarType dtype : {at::kFloat, at::kDouble}) {
        SequenceModel model = tiny_model(tiny_options(kSeqlen, positions),
                                         std::vector<std::string>{variant, variant});
        model->to(dtype);
        const CausalityReport report = check_causality(model, tiny_ids(kSeqlen), 10, 7);
        EXPECT_EQ(report.positions.size(), 10u);
        EXPECT_TRUE(report.passed())
            << variant << " " << positions_name(positions) << ": " << report.to_string();
      }
    }
  }
}

TEST(Causality, FindsAModelThatSeesAll) {
  SequenceModelOptions options = tiny_options(20);
  options.causal = false;
  SequenceModel model = tiny_model(options, std::vector<std::string>{"flash"});
  const CausalityReport report = check_causality(model, tiny_ids(20), {5, 19});
  EXPECT_FALSE(report.passed());
  ASSERT_EQ(report.leaks.size(), 2u);
  EXPECT_EQ(report.leaks[0].changed, 5);
  EXPECT_EQ(report.leaks[0].first, 0);
  EXPECT_GT(report.leaks[0].size, 0);
  EXPECT_THAT(report.to_string(), HasSubstr("token at position 5 changed the logits from position "
                                            "0 on"));
}

TEST(Causality, FindsAMaskThatIsOffByOne) {
  SequenceModel model = off_by_one(20, 0);
  const CausalityReport report = check_causality(model, tiny_ids(20), 4, 1);
  ASSERT_EQ(report.leaks.size(), 4u);
  for (const CausalityLeak &leak : report.leaks) EXPECT_EQ(leak.first, leak.changed - 1);
}

TEST(Causality, FindsALeakAtTheEndOfAChunkOnly) {
  SequenceModel model = off_by_one(20, 8);
  const CausalityReport report = check_causality(model, tiny_ids(20), 19, 1);
  ASSERT_EQ(report.leaks.size(), 2u);
  EXPECT_EQ(report.leaks[0].changed, 8);
  EXPECT_EQ(report.leaks[0].first, 7);
  EXPECT_EQ(report.leaks[1].changed, 16);
}

TEST(Causality, SeesOneBit) {
  // A leak of one unit in the last place, far below any tolerance.
  class OneBit : public OffByOne {
   public:
    OneBit() : OffByOne(0) {}

   protected:
    Outputs do_forward(const Inputs &inputs) const override {
      at::Tensor out = softmax_reference(inputs, {.causal = true}, {}).clone();
      const at::Tensor later = inputs.v.select(2, -1).sum().mul(1e6).floor().remainder(2);
      out.select(2, 0).mul_(1 + later * std::numeric_limits<double>::epsilon());
      return {.out = out, .lse = std::nullopt, .weights = std::nullopt};
    }
  };
  std::int64_t found = 0;
  for (std::uint64_t seed = 0; seed < 8; ++seed) {
    std::vector<std::unique_ptr<Variant>> layers;
    layers.push_back(std::make_unique<OneBit>());
    SequenceModelOptions options = tiny_options(9);
    options.mlp_ratio = 0;
    SequenceModel model = tiny_model(options, std::move(layers));
    const CausalityReport report = check_causality(model, tiny_ids(9, seed), {8});
    if (report.leaks.empty()) continue;
    ++found;
    EXPECT_EQ(report.leaks[0].first, 0);
    EXPECT_LT(report.leaks[0].size, 1e-13);
  }
  EXPECT_GE(found, 1);
}

TEST(Causality, AChangeThatNothingSeesDoesNotPass) {
  SequenceModel model = tiny_model(tiny_options(9), std::vector<std::string>{"full"});
  const at::NoGradGuard no_grad;
  model->named_parameters()["tokens.weight"].fill_(0.5);
  const CausalityReport same = check_causality(model, tiny_ids(9), {4});
  EXPECT_TRUE(same.leaks.empty());
  EXPECT_THAT(same.without_effect, ElementsAre(4));
  EXPECT_FALSE(same.passed());
  EXPECT_THAT(same.to_string(), HasSubstr("undecided"));

  model->named_parameters()["head.weight"].fill_(std::numeric_limits<double>::quiet_NaN());
  EXPECT_FALSE(check_causality(model, tiny_ids(9), {4}).passed());
  EXPECT_FALSE(check_causality(model, tiny_ids(9), std::vector<std::int64_t>{}).passed());
}

TEST(Causality, LeavesTheModelAsItWas) {
  SequenceModel model = tiny_model(tiny_options(9), std::vector<std::string>{"full"});
  const at::Tensor ids = tiny_ids(9);
  const at::Tensor copy = ids.clone();
  model->train();
  check_causality(model, ids, {4});
  EXPECT_TRUE(model->is_training());
  EXPECT_TRUE(ids.equal(copy));
  EXPECT_FALSE(model->named_parameters()["tokens.weight"].grad().defined());
  model->eval();
  check_causality(model, ids, {4});
  EXPECT_FALSE(model->is_training());
}

TEST(Causality, DrawsTheEndsFirstAndTheSameForASeed) {
  EXPECT_THAT(causality_positions(2, 5, 1), ElementsAre(1));
  EXPECT_THAT(causality_positions(9, 1, 1), ElementsAre(8));
  EXPECT_THAT(causality_positions(9, 2, 1), ElementsAre(1, 8));
  EXPECT_THAT(causality_positions(5, 9, 1), ElementsAre(1, 2, 3, 4));
  EXPECT_TRUE(causality_positions(1, 3, 1).empty());
  const auto drawn = causality_positions(1000, 20, 4);
  EXPECT_EQ(drawn.size(), 20u);
  EXPECT_EQ(std::set<std::int64_t>(drawn.begin(), drawn.end()).size(), 20u);
  EXPECT_EQ(drawn.front(), 1);
  EXPECT_EQ(drawn.back(), 999);
  EXPECT_EQ(drawn, causality_positions(1000, 20, 4));
  EXPECT_NE(drawn, causality_positions(1000, 20, 5));
}

TEST(Causality, RefusesPositionsWithNothingBeforeThem) {
  SequenceModel model = tiny_model(tiny_options(9), std::vector<std::string>{"full"});
  for (const std::int64_t position : {0, 9, -1}) {
    try {
      check_causality(model, tiny_ids(9), std::vector<std::int64_t>{position});
      FAIL() << "no error";
    } catch (const ConfigError &error) {
      EXPECT_THAT(error.what(), HasSubstr("a token from 1 to 8"));
    }
  }
}

}  // namespace
}  // namespace attnlab
