#include "experiments/models/autocast.h"

#include <ATen/TensorOperators.h>
#include <ATen/autocast_mode.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/full.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/ones.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/experiments/models/tiny_model.h"

namespace attnlab {
namespace {

at::ScalarType type_of_product() {
  return at::linear(at::ones({2, 3}), at::ones({4, 3})).scalar_type();
}

TEST(Autocast, CastsWhileItLivesAndPutsBackWhatWas) {
  const at::ScalarType dtype_before = at::autocast::get_autocast_dtype(at::kCPU);
  {
    const Autocast half(at::kCPU, at::kHalf);
    EXPECT_EQ(type_of_product(), at::kHalf);
    {
      const Autocast bfloat16(at::kCPU, at::kBFloat16);
      EXPECT_EQ(type_of_product(), at::kBFloat16);
      const Autocast nothing(at::kCPU, std::nullopt);
      EXPECT_EQ(type_of_product(), at::kBFloat16);
      const Autocast off = Autocast::off(at::kCPU);
      EXPECT_EQ(type_of_product(), at::kFloat);
    }
    EXPECT_EQ(type_of_product(), at::kHalf);
  }
  EXPECT_EQ(type_of_product(), at::kFloat);
  EXPECT_EQ(at::autocast::get_autocast_dtype(at::kCPU), dtype_before);
}

TEST(Autocast, IsOffInsideVariants) {
  /// Notes whether autocast was on where it computed.
  class Asking : public Variant {
   public:
    explicit Asking(bool &on) : on_(on) {}
    VariantInfo info() const override {
      return {.name = "asking",
              .summary = "",
              .paper = "",
              .exact = false,
              .time_order = "1",
              .memory_order = "1"};
    }
    Outputs do_forward(const Inputs &inputs) const override {
      on_ = at::autocast::is_autocast_enabled(at::kCPU);
      return {.out = inputs.v, .lse = std::nullopt, .weights = std::nullopt};
    }

   private:
    bool &on_;
  };
  bool on = true;
  MultiheadAttention module(4, 1, std::make_unique<Asking>(on));
  const Autocast autocast(at::kCPU, at::kBFloat16);
  const at::Tensor x = at::ones({1, 3, 4});
  EXPECT_EQ(module->forward(x, x, x, /*causal=*/true).out.scalar_type(), at::kBFloat16);
  EXPECT_FALSE(on);
  EXPECT_TRUE(at::autocast::is_autocast_enabled(at::kCPU));
}

TEST(Autocast, DoesNotKeepTheCastOfAWeightThatHasChanged) {
  const at::Tensor input = at::ones({1, 1});
  at::Tensor weight = at::ones({1, 1}).requires_grad_();
  const auto product = [&] {
    const Autocast autocast(at::kCPU, at::kBFloat16);
    return at::linear(input, weight);
  };
  {
    // A cast without gradient, as evaluations make it, is not for the training.
    const at::NoGradGuard no_grad;
    EXPECT_EQ(product().item<float>(), 1);
    weight.fill_(2);
  }
  const at::Tensor after = product();
  EXPECT_EQ(after.item<float>(), 2);
  after.backward();
  EXPECT_EQ(weight.grad().item<float>(), 1);
}

/// The types of what goes into variants and comes out of them and of the blocks.
class Types : public ForwardObserver {
 public:
  void on_attention(std::int64_t, const Variant &, const Inputs &inputs,
                    const Outputs &outputs) override {
    for (const at::Tensor &tensor : {inputs.q, inputs.k, inputs.v, outputs.out}) {
      attention.push_back(tensor.scalar_type());
    }
  }
  void on_block(std::int64_t, const at::Tensor &output) override {
    blocks.push_back(output.scalar_type());
  }

  std::vector<at::ScalarType> attention, blocks;
};

Problem problem_of_model(const SequenceModelOptions &options, std::int64_t seqlen) {
  Problem problem;
  problem.batch = 2;
  problem.heads = problem.kv_heads = options.heads;
  problem.seqlen_q = problem.seqlen_k = seqlen;
  problem.head_dim = problem.head_dim_v = options.embed_dim / options.heads;
  problem.dtype = at::kBFloat16;
  problem.causal = true;
  problem.direction = Direction::kForwardBackward;
  return problem;
}

TEST(Autocast, EveryVariantComputesInBfloat16AndTheRestInFloat32) {
  constexpr std::int64_t kSeqlen = 9;
  Registry registry;
  register_builtin_variants(registry);
  int checked = 0;
  for (const Positions positions :
       {Positions::kNone, Positions::kLearned, Positions::kSinusoidal, Positions::kRotary}) {
    SequenceModelOptions options = tiny_options(kSeqlen, positions);
    for (const std::string &name : registry.names()) {
      if (!registry.make(name)->supports(problem_of_model(options, kSeqlen)).ok) continue;
      const std::string what = name + " " + positions_name(positions);
      options.autocast = std::nullopt;
      SequenceModel exact = tiny_model(options, {name, name});
      options.autocast = at::kBFloat16;
      SequenceModel model = tiny_model(options, {name, name});
      model->to(at::kFloat);
      Types types;
      model->observe(&types);
      const at::Tensor logits = model->forward(tiny_ids(kSeqlen));
      EXPECT_EQ(std::ranges::count(types.attention, at::kBFloat16), 8) << what;
      EXPECT_EQ(std::ranges::count(types.blocks, at::kFloat), 2) << what;
      EXPECT_EQ(logits.scalar_type(), at::kFloat) << what;
      // Of the size of a rounding to 8 bits: neither exact nor far off.
      const at::Tensor error =
          (logits.to(at::kDouble) - exact->forward(tiny_ids(kSeqlen))).norm() / logits.norm();
      EXPECT_GT(error.item<double>(), 1e-4) << what;
      EXPECT_LT(error.item<double>(), 2e-2) << what;

      at::cross_entropy_loss(logits.flatten(0, 1), tiny_labels(kSeqlen).flatten()).backward();
      for (const auto &parameter : model->named_parameters()) {
        EXPECT_EQ(parameter.value().scalar_type(), at::kFloat) << what << " " << parameter.key();
        ASSERT_TRUE(parameter.value().grad().defined()) << what << " " << parameter.key();
        EXPECT_EQ(parameter.value().grad().scalar_type(), at::kFloat) << what;
      }
      ++checked;
    }
  }
  EXPECT_GE(checked, 20);
}

}  // namespace
}  // namespace attnlab
