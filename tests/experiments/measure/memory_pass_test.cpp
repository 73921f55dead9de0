#include "experiments/measure/memory_pass.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/custom_function.h>

#include "experiments/measure/inputs.h"
#include "experiments/measure/memory.h"
#include "tests/experiments/measure/fake_variant.h"

namespace attnlab::measure {
namespace {

constexpr std::int64_t kForwardScratch = 10'000;
constexpr std::int64_t kSaved = 3'000;
constexpr std::int64_t kBackwardScratch = 20'000;

at::Tensor bytes(std::int64_t count) { return at::empty({count}, at::kByte); }

/// out = q + 0 k + 0 v, with exactly known allocations in both directions.
struct KnownAllocations : torch::autograd::Function<KnownAllocations> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& q,
                            const at::Tensor&, const at::Tensor&) {
    context->saved_data["kept"] = bytes(kSaved);
    const at::Tensor scratch = bytes(kForwardScratch);
    return at::empty_like(q).copy_(q);
  }
  static torch::autograd::tensor_list backward(torch::autograd::AutogradContext*,
                                               torch::autograd::tensor_list grads) {
    const at::Tensor scratch = bytes(kBackwardScratch);
    return {at::empty_like(grads[0]), at::empty_like(grads[0]), at::empty_like(grads[0])};
  }
};

class MemoryPassTest : public testing::Test {
 protected:
  void SetUp() override {
    install_counting_allocator();
    variant_.distort = [](const Inputs& inputs, const at::Tensor&) {
      return Outputs{KnownAllocations::apply(inputs.q, inputs.k, inputs.v), std::nullopt,
                     std::nullopt};
    };
  }
  MemoryUse measure(Direction direction) {
    const Problem problem = small_problem(direction);
    const TrialInputs made = make_inputs({.problem = problem});
    return measure_memory(variant_, made.inputs, made.grad_out, problem);
  }

  /// Computes nothing but what `distort` does.
  class Bare : public FakeVariant {
   protected:
    Outputs do_forward(const Inputs& inputs) const override { return distort(inputs, {}); }
  };
  Bare variant_;
  const std::int64_t tensor_bytes_ = small_problem().q_bytes();
};

TEST_F(MemoryPassTest, ForwardCountsScratchAsWorkspace) {
  variant_.distort = [](const Inputs& inputs, const at::Tensor&) {
    Outputs outputs;
    const at::Tensor scratch = bytes(kForwardScratch);
    outputs.out = at::empty_like(inputs.q);
    outputs.lse = bytes(500);
    return outputs;
  };
  const MemoryUse use = measure(Direction::kForward);
  EXPECT_EQ(use.input, 3 * tensor_bytes_);
  EXPECT_EQ(use.output, tensor_bytes_ + 500);
  EXPECT_EQ(use.saved, 0);
  EXPECT_EQ(use.workspace, kForwardScratch);
  EXPECT_EQ(use.peak, 4 * tensor_bytes_ + 500 + kForwardScratch);
}

TEST_F(MemoryPassTest, StoredWeightsAreWorkspaceInForward) {
  variant_.distort = [](const Inputs& inputs, const at::Tensor&) {
    return Outputs{at::empty_like(inputs.q), std::nullopt, bytes(7777)};
  };
  EXPECT_EQ(measure(Direction::kForward).workspace, 7777);
}

TEST_F(MemoryPassTest, ForwardBackwardSplitsEverything) {
  const MemoryUse use = measure(Direction::kForwardBackward);
  EXPECT_EQ(use.input, 4 * tensor_bytes_);   // q, k, v, grad_out
  EXPECT_EQ(use.output, 4 * tensor_bytes_);  // out, dq, dk, dv
  EXPECT_EQ(use.saved, kSaved);
  EXPECT_EQ(use.workspace, kBackwardScratch);
  EXPECT_EQ(use.peak, 8 * tensor_bytes_ + kSaved + kBackwardScratch);
}

TEST_F(MemoryPassTest, TheHigherOfBothPassesIsThePeak) {
  constexpr std::int64_t kHuge = 1'000'000;
  variant_.distort = [](const Inputs& inputs, const at::Tensor&) {
    { const at::Tensor scratch = bytes(kHuge); }
    return Outputs{KnownAllocations::apply(inputs.q, inputs.k, inputs.v), std::nullopt,
                   std::nullopt};
  };
  // In the forward pass the huge block is alone with the inputs.
  EXPECT_EQ(measure(Direction::kForwardBackward).peak, 4 * tensor_bytes_ + kHuge);
  EXPECT_EQ(measure(Direction::kBackward).peak, 8 * tensor_bytes_ + kSaved + kBackwardScratch);
}

TEST_F(MemoryPassTest, AnOutputThatIsAnInputTakesNoMemory) {
  variant_.distort = [](const Inputs& inputs, const at::Tensor&) {
    return Outputs{inputs.q, std::nullopt, std::nullopt};
  };
  const MemoryUse use = measure(Direction::kForward);
  EXPECT_EQ(use.output, 0);
  EXPECT_EQ(use.peak, use.input);
}

TEST_F(MemoryPassTest, NothingStaysAlive) {
  const std::int64_t before = live_bytes();
  measure(Direction::kForwardBackward);
  EXPECT_EQ(live_bytes(), before);
}

TEST_F(MemoryPassTest, ForwardTracksNoGradients) {
  bool tracked = true;
  variant_.distort = [&](const Inputs& inputs, const at::Tensor&) {
    tracked = at::GradMode::is_enabled();
    return Outputs{inputs.q, std::nullopt, std::nullopt};
  };
  measure(Direction::kForward);
  EXPECT_FALSE(tracked);
}

TEST_F(MemoryPassTest, PartsNeverAddUpToLessThanThePeak) {
  const FakeVariant exact;
  for (const auto direction :
       {Direction::kForward, Direction::kBackward, Direction::kForwardBackward}) {
    const Problem problem = small_problem(direction);
    const TrialInputs made = make_inputs({.problem = problem});
    const MemoryUse use = measure_memory(exact, made.inputs, made.grad_out, problem);
    EXPECT_GE(use.input + use.output + use.saved + use.workspace, use.peak);
    // The score matrix alone: batch 2, heads 2, 96 x 96, float32.
    EXPECT_GE(use.saved + use.workspace, 4 * 96 * 96 * 4);
  }
}

}  // namespace
}  // namespace attnlab::measure
