#include "experiments/models/diagnostic_flags.h"

#include <ATen/TensorOperators.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <set>

#include "tests/experiments/models/tiny_model.h"

namespace attnlab {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr std::int64_t kSeqlen = 9;
constexpr std::int64_t kAll = DiagnosticRow::kAllHeads;

/// Flags of a model of `layers` layers whose parameters were changed.
std::vector<DiagnosticFlag> flags_of(
    std::size_t layers,
    const std::function<void(const std::string &name, at::Tensor parameter)> &change) {
  SequenceModel model = tiny_model(tiny_options(kSeqlen), std::vector<std::string>(layers, "full"));
  {
    const at::NoGradGuard no_grad;
    for (const auto &parameter : model->named_parameters()) {
      change(parameter.key(), parameter.value());
    }
  }
  return find_flags(diagnose(model, tiny_ids(kSeqlen), tiny_labels(kSeqlen), 0));
}

std::set<std::string> kinds(const std::vector<DiagnosticFlag> &flags) {
  std::set<std::string> kinds;
  for (const DiagnosticFlag &flag : flags) kinds.insert(flag.kind);
  return kinds;
}

TEST(DiagnosticFlags, AFreshModelHasNone) {
  for (const std::size_t layers : {1, 2, 8}) {
    EXPECT_THAT(flags_of(layers, [](const std::string &, const at::Tensor &) {}), IsEmpty());
  }
}

TEST(DiagnosticFlags, HeadsBehindTinyWeightsVanish) {
  const auto flags = flags_of(8, [](const std::string &name, const at::Tensor &parameter) {
    if (name.starts_with("block3.")) parameter.mul_(1e-6);
  });
  ASSERT_EQ(flags.size(), 3u);
  for (std::size_t head = 0; head < 3; ++head) {
    EXPECT_EQ(flags[head].kind, "vanishing");
    EXPECT_EQ(flags[head].layer, 3);
    EXPECT_EQ(flags[head].head, static_cast<std::int64_t>(head));
    EXPECT_THAT(flags[head].reason, HasSubstr("a ratio below 0.001"));
  }
}

TEST(DiagnosticFlags, ActivationsThatGrowExplode) {
  const auto flags = flags_of(4, [](const std::string &name, const at::Tensor &parameter) {
    if (name == "block3.mlp_out.weight") parameter.mul_(1e5);
  });
  const auto found = std::ranges::find_if(flags, [](const DiagnosticFlag &flag) {
    return flag.kind == "exploding" && flag.reason.starts_with("activation_rms");
  });
  ASSERT_NE(found, flags.end());
  EXPECT_EQ(found->layer, 3);
}

TEST(DiagnosticFlags, GradientsThatGrowTowardsTheFirstLayerExplode) {
  // The first block hands on a signal so small that the norm after it multiplies it, and with it
  // the gradient on its way back, by 300.
  const auto flags = flags_of(4, [](const std::string &name, const at::Tensor &parameter) {
    if (name == "tokens.weight" || name == "positions.weight") parameter.mul_(1e-3);
    if (name.starts_with("block0.")) parameter.mul_(1e-3);
    if (name == "block1.mlp_out.weight" || name == "block1.mlp_in.weight") parameter.mul_(10);
  });
  const auto found = std::ranges::find_if(flags, [](const DiagnosticFlag &flag) {
    return flag.kind == "exploding" && flag.reason.starts_with("gradient_rms");
  });
  ASSERT_NE(found, flags.end());
  EXPECT_EQ(found->layer, 0);
}

TEST(DiagnosticFlags, QueriesAndKeysTimesAHundredCollapse) {
  const auto flags = flags_of(2, [](const std::string &name, const at::Tensor &parameter) {
    if (name == "block1.attention.in_proj_weight") parameter.narrow(0, 0, 24).mul_(100);
  });
  EXPECT_THAT(kinds(flags), testing::IsSupersetOf({"entropy_collapse", "logit_explosion"}));
  for (const DiagnosticFlag &flag : flags) {
    if (flag.kind != "entropy_collapse" && flag.kind != "logit_explosion") continue;
    EXPECT_EQ(flag.layer, 1);
    EXPECT_GE(flag.head, 0);
  }
}

TEST(DiagnosticFlags, NaNIsOneKindOfFlagOnly) {
  const auto flags = flags_of(2, [](const std::string &name, const at::Tensor &parameter) {
    if (name == "block1.mlp_out.bias") parameter.fill_(std::numeric_limits<double>::quiet_NaN());
  });
  EXPECT_THAT(kinds(flags), ElementsAre("nonfinite"));
}

TEST(DiagnosticFlags, BoundsAreSharpAndNamed) {
  const auto row = [](std::int64_t layer, std::int64_t head, const char *quantity, double value) {
    return DiagnosticRow{0, layer, head, quantity, value};
  };
  EXPECT_THAT(find_flags({row(0, 1, "entropy", 0.06), row(0, 1, "logit_max", 99)}), IsEmpty());
  const auto flags = find_flags({row(0, 1, "entropy", 0.04), row(0, 2, "logit_max", 101)});
  ASSERT_EQ(flags.size(), 2u);
  EXPECT_EQ(flags[0].kind, "entropy_collapse");
  EXPECT_EQ(flags[0].reason, "entropy is 0.04 of that of uniform attention, below 0.05");
  EXPECT_EQ(flags[1].kind, "logit_explosion");
  EXPECT_EQ(flags[1].reason, "the largest score is 101, above 100");

  EXPECT_THAT(find_flags({row(0, kAll, "gradient_rms", 2e-3), row(5, kAll, "gradient_rms", 1)}),
              IsEmpty());
  const auto vanishing =
      find_flags({row(0, kAll, "gradient_rms", 5e-4), row(5, kAll, "gradient_rms", 1)});
  ASSERT_EQ(vanishing.size(), 1u);
  EXPECT_EQ(vanishing[0].kind, "vanishing");
  EXPECT_EQ(vanishing[0].reason,
            "gradient_rms is 0.0005 at layer 0 and 1 at layer 5, a ratio below 0.001");
  const auto exploding =
      find_flags({row(0, kAll, "gradient_rms", 2e3), row(5, kAll, "gradient_rms", 1)});
  ASSERT_EQ(exploding.size(), 1u);
  EXPECT_EQ(exploding[0].kind, "exploding");
  const auto unlearned =
      find_flags({row(0, kAll, "gradient_norm", 1), row(1, kAll, "gradient_norm", 9e-4),
                  row(2, kAll, "gradient_norm", 2e-3)});
  ASSERT_EQ(unlearned.size(), 1u);
  EXPECT_EQ(unlearned[0].layer, 1);
  EXPECT_EQ(unlearned[0].kind, "vanishing");
  EXPECT_THAT(find_flags({row(0, kAll, "gradient_norm", 0), row(1, kAll, "gradient_norm", 0)}),
              testing::SizeIs(2));
  DiagnosticBounds bounds;
  bounds.logit = 200;
  EXPECT_THAT(find_flags({row(0, 2, "logit_max", 101)}, bounds), IsEmpty());
}

}  // namespace
}  // namespace attnlab
