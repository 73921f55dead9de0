#include "experiments/models/diagnostics.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/tril.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/optim/sgd.h>

#include <cmath>
#include <limits>

#include "kernels/core/error.h"
#include "tests/experiments/models/tiny_model.h"

namespace attnlab {
namespace {

using testing::HasSubstr;

constexpr std::int64_t kSeqlen = 9, kHeads = 3, kEmbed = 12;
constexpr std::int64_t kAll = DiagnosticRow::kAllHeads;

std::optional<double> find(const std::vector<DiagnosticRow> &rows, std::int64_t layer,
                           std::int64_t head, const std::string &quantity) {
  std::optional<double> found;
  for (const DiagnosticRow &row : rows) {
    if (row.layer != layer || row.head != head || row.quantity != quantity) continue;
    EXPECT_FALSE(found) << "two rows of " << quantity;
    found = row.value;
  }
  return found;
}

double value(const std::vector<DiagnosticRow> &rows, std::int64_t layer, std::int64_t head,
             const std::string &quantity) {
  const std::optional<double> found = find(rows, layer, head, quantity);
  EXPECT_TRUE(found) << "no row of " << quantity << " of layer " << layer << " head " << head;
  return found.value_or(std::numeric_limits<double>::quiet_NaN());
}

double rms(const at::Tensor &tensor) { return tensor.square().mean().sqrt().item<double>(); }

/// What the model computes inside, written down again with plain operations from its parameters by
/// name; gradients by autograd.
struct Inside {
  std::vector<at::Tensor> scores;   ///< `[batch, heads, seqlen, seqlen]`, scaled
  std::vector<at::Tensor> weights;  ///< the same shape
  std::vector<at::Tensor> heads;    ///< `[batch, heads, seqlen, head_dim]`
  std::vector<at::Tensor> outputs;  ///< `[batch, seqlen, embed_dim]`
};

Inside by_hand(SequenceModel &model, const at::Tensor &ids, const at::Tensor &labels) {
  const auto parameters = model->named_parameters();
  const auto get = [&](const std::string &name) { return parameters[name]; };
  const auto norm = [&](const at::Tensor &x, const std::string &name) {
    return at::layer_norm(x, {kEmbed}, get(name + ".weight"), get(name + ".bias"));
  };
  const auto linear = [&](const at::Tensor &x, const std::string &name) {
    return at::linear(x, get(name + ".weight"), get(name + ".bias"));
  };
  const std::int64_t seqlen = ids.size(1);
  Inside inside;
  at::Tensor x = get("tokens.weight").index_select(0, ids.flatten()).view({2, seqlen, kEmbed}) +
                 get("positions.weight").narrow(0, 0, seqlen);
  for (std::size_t i = 0; i < model->blocks().size(); ++i) {
    const std::string block = "block" + std::to_string(i) + ".";
    const at::Tensor qkv =
        at::linear(norm(x, block + "attention_norm"), get(block + "attention.in_proj_weight"),
                   get(block + "attention.in_proj_bias"))
            .view({2, seqlen, 3, kHeads, kEmbed / kHeads})
            .permute({2, 0, 3, 1, 4});
    const at::Tensor scores = qkv[0].matmul(qkv[1].transpose(-1, -2)) / std::sqrt(kEmbed / kHeads);
    const at::Tensor hidden = at::tril(scores.new_ones({seqlen, seqlen})).eq(0);
    inside.scores.push_back(scores.masked_fill(hidden, 0.0));
    inside.weights.push_back(
        at::softmax(scores.masked_fill(hidden, -std::numeric_limits<double>::infinity()), -1));
    inside.heads.push_back(inside.weights.back().matmul(qkv[2]));
    inside.heads.back().retain_grad();
    x = x + linear(inside.heads.back().transpose(1, 2).flatten(2), block + "attention.out_proj");
    x = x +
        linear(at::gelu(linear(norm(x, block + "mlp_norm"), block + "mlp_in")), block + "mlp_out");
    inside.outputs.push_back(x);
    x.retain_grad();
  }
  const at::Tensor log_p = at::log_softmax(linear(norm(x, "norm"), "head"), -1);
  const at::Tensor asked = labels.ne(-100);
  const at::Tensor picked = log_p.gather(-1, labels.clamp_min(0).unsqueeze(-1)).squeeze(-1);
  (-(picked * asked).sum() / asked.sum()).backward();
  return inside;
}

double norm_of(SequenceModel &model, const std::string &prefix, bool gradient) {
  double squares = 0;
  for (const auto &parameter : model->named_parameters()) {
    if (!parameter.key().starts_with(prefix)) continue;
    const at::Tensor &tensor = gradient ? parameter.value().grad() : parameter.value();
    squares += tensor.square().sum().item<double>();
  }
  return std::sqrt(squares);
}

TEST(Diagnostics, AreTheNumbersOfTheDenseFormula) {
  SequenceModel model =
      tiny_model(tiny_options(kSeqlen), std::vector<std::string>{"flash", "full"});
  const at::Tensor ids = tiny_ids(kSeqlen), labels = tiny_labels(kSeqlen);
  const std::vector<DiagnosticRow> rows = diagnose(model, ids, labels, 17);
  const Inside inside = by_hand(model, ids, labels);
  for (std::int64_t layer = 0; layer < 2; ++layer) {
    const auto i = static_cast<std::size_t>(layer);
    const std::string block = "block" + std::to_string(layer) + ".";
    EXPECT_NEAR(value(rows, layer, kAll, "activation_rms"), rms(inside.outputs[i]), 1e-12);
    EXPECT_NEAR(value(rows, layer, kAll, "gradient_rms"), rms(inside.outputs[i].grad()), 1e-12);
    EXPECT_NEAR(value(rows, layer, kAll, "weight_norm"), norm_of(model, block, false), 1e-10);
    EXPECT_NEAR(value(rows, layer, kAll, "gradient_norm"), norm_of(model, block, true), 1e-10);
    EXPECT_EQ(value(rows, layer, kAll, "nonfinite"), 0);
    double largest = 0, entropies = 0;
    for (std::int64_t head = 0; head < kHeads; ++head) {
      EXPECT_NEAR(value(rows, layer, head, "activation_rms"), rms(inside.heads[i].select(1, head)),
                  1e-12);
      EXPECT_NEAR(value(rows, layer, head, "gradient_rms"),
                  rms(inside.heads[i].grad().select(1, head)), 1e-14);
      const double logit = inside.scores[i].select(1, head).abs().max().item<double>();
      EXPECT_NEAR(value(rows, layer, head, "logit_max"), logit, 1e-12);
      double sum = 0;
      for (std::int64_t sample = 0; sample < 2; ++sample) {
        for (std::int64_t query = 1; query < kSeqlen; ++query) {
          for (std::int64_t key = 0; key <= query; ++key) {
            const double p = inside.weights[i][sample][head][query][key].item<double>();
            sum -= p * std::log(p) / std::log(static_cast<double>(query + 1));
          }
        }
      }
      const double entropy = sum / (2 * (kSeqlen - 1));
      EXPECT_NEAR(value(rows, layer, head, "entropy"), entropy, 1e-12);
      largest = std::max(largest, logit);
      entropies += entropy;
    }
    EXPECT_NEAR(value(rows, layer, kAll, "logit_max"), largest, 1e-12);
    EXPECT_NEAR(value(rows, layer, kAll, "entropy"), entropies / kHeads, 1e-12);
  }
  const double rest =
      std::hypot(norm_of(model, "tokens", true), norm_of(model, "positions", true),
                 std::hypot(norm_of(model, "norm", true), norm_of(model, "head", true)));
  EXPECT_NEAR(value(rows, DiagnosticRow::kOutsideLayers, kAll, "gradient_norm"), rest, 1e-10);
  for (const DiagnosticRow &row : rows) EXPECT_EQ(row.step, 17);
}

TEST(Diagnostics, AnUpdateIsTheDifferenceOfTheWeights) {
  SequenceModel model = tiny_model(tiny_options(kSeqlen), std::vector<std::string>{"flash"});
  torch::optim::SGD optimizer(model->parameters(), torch::optim::SGDOptions(0.25));
  Diagnostics diagnostics(model);
  EXPECT_THROW(diagnostics.rows(0), Error);
  EXPECT_THROW(diagnostics.update_rows(0), Error);
  at::cross_entropy_loss(model->forward(tiny_ids(kSeqlen)).flatten(0, 1),
                         tiny_labels(kSeqlen).flatten())
      .backward();
  const std::vector<DiagnosticRow> rows = diagnostics.rows(3);
  diagnostics.keep_weights();
  optimizer.step();
  const std::vector<DiagnosticRow> updates = diagnostics.update_rows(3);
  ASSERT_EQ(updates.size(), 4u);
  for (const std::int64_t layer : {DiagnosticRow::kOutsideLayers, std::int64_t{0}}) {
    // Plain gradient descent: the update is the learning rate times the gradient.
    const double update = 0.25 * value(rows, layer, kAll, "gradient_norm");
    EXPECT_NEAR(value(updates, layer, kAll, "update_norm"), update, 1e-12);
    EXPECT_NEAR(value(updates, layer, kAll, "update_ratio"),
                update / value(rows, layer, kAll, "weight_norm"), 1e-12);
  }
}

TEST(Diagnostics, LeaveGradientsAndResultsAsTheyWere) {
  SequenceModel model = tiny_model(tiny_options(kSeqlen), std::vector<std::string>{"full"});
  const at::Tensor before = model->forward(tiny_ids(kSeqlen));
  before.sum().backward();
  std::vector<at::Tensor> gradients;
  for (const at::Tensor &parameter : model->parameters()) {
    gradients.push_back(parameter.grad().clone());
  }
  diagnose(model, tiny_ids(kSeqlen, 8), tiny_labels(kSeqlen), 0);
  const std::vector<at::Tensor> parameters = model->parameters();
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    EXPECT_TRUE(at::equal(parameters[i].grad(), gradients[i]));
  }
  EXPECT_TRUE(at::equal(model->forward(tiny_ids(kSeqlen)), before));
}

TEST(Diagnostics, WhatIsNotThereHasNoRow) {
  SequenceModel model =
      tiny_model(tiny_options(kSeqlen), std::vector<std::string>{"linear", "sliding_window"});
  const std::vector<DiagnosticRow> rows =
      diagnose(model, tiny_ids(kSeqlen), tiny_labels(kSeqlen), 0);
  EXPECT_FALSE(find(rows, 0, 0, "logit_max"));  // linear attention exponentiates no score
  const double linear = value(rows, 0, 0, "entropy");
  EXPECT_GT(linear, 0.9);
  EXPECT_LE(linear, 1);
  value(rows, 1, 0, "logit_max");

  Diagnostics diagnostics(model);
  {
    const at::NoGradGuard no_grad;
    model->forward(tiny_ids(kSeqlen));
  }
  const std::vector<DiagnosticRow> forward = diagnostics.rows(0);
  value(forward, 0, kAll, "activation_rms");
  EXPECT_FALSE(find(forward, 0, kAll, "gradient_rms"));
  EXPECT_FALSE(find(forward, 0, kAll, "gradient_norm"));
}

TEST(Diagnostics, CountsWhatIsNotFinite) {
  SequenceModel model = tiny_model(tiny_options(kSeqlen), std::vector<std::string>{"full", "full"});
  {
    const at::NoGradGuard no_grad;
    // One element of one head's values: 2 samples * 9 tokens of 2 * 9 * 4 elements are NaN.
    model->named_parameters()["block1.attention.in_proj_bias"][2 * kEmbed + 4] =
        std::numeric_limits<double>::quiet_NaN();
  }
  Diagnostics diagnostics(model);
  {
    const at::NoGradGuard no_grad;
    model->forward(tiny_ids(kSeqlen));
  }
  const std::vector<DiagnosticRow> rows = diagnostics.rows(0);
  EXPECT_EQ(value(rows, 0, kAll, "nonfinite"), 0);
  EXPECT_EQ(value(rows, 1, 0, "nonfinite"), 0);
  EXPECT_EQ(value(rows, 1, 1, "nonfinite"), 0.25);
  EXPECT_EQ(value(rows, 1, kAll, "nonfinite"), 1);  // the output projection mixes heads
}

}  // namespace
}  // namespace attnlab
