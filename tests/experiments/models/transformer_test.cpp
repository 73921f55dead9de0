#include "experiments/models/transformer.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Context.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/allclose.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/tril.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "kernels/core/error.h"
#include "variants/api/registry.h"

namespace attnlab {
namespace {

using testing::HasSubstr;

constexpr std::int64_t kVocab = 11, kAnswers = 5, kEmbed = 12, kHeads = 3, kSeqlen = 9;

SequenceModelOptions small(Positions positions) {
  SequenceModelOptions options;
  options.vocab = kVocab;
  options.answers = kAnswers;
  options.embed_dim = kEmbed;
  options.heads = kHeads;
  options.mlp_ratio = 2;
  options.positions = positions;
  options.max_seqlen = kSeqlen;
  return options;
}

SequenceModel make_model(const SequenceModelOptions &options,
                         const std::vector<std::string> &variants) {
  Registry registry;
  register_builtin_variants(registry);
  std::vector<std::unique_ptr<Variant>> layers;
  for (const std::string &name : variants) layers.push_back(registry.make(name));
  at::manual_seed(3);
  SequenceModel model(options, std::move(layers));
  model->to(at::kDouble);
  return model;
}

at::Tensor ids(std::int64_t seqlen = kSeqlen) {
  return at::randint(kVocab, {2, seqlen}, at::detail::createCPUGenerator(5), at::kLong);
}

/// The same model written down again with plain operations, from its parameters
/// by name.
at::Tensor by_hand(SequenceModel &model, const at::Tensor &input) {
  const auto parameters = model->named_parameters();
  const auto get = [&](const std::string &name) { return parameters[name]; };
  const auto norm = [&](const at::Tensor &x, const std::string &name) {
    return at::layer_norm(x, {kEmbed}, get(name + ".weight"), get(name + ".bias"));
  };
  const std::int64_t seqlen = input.size(1);
  at::Tensor x = get("tokens.weight").index_select(0, input.flatten()).view({2, seqlen, kEmbed}) +
                 get("positions.weight").narrow(0, 0, seqlen);
  for (std::size_t i = 0; i < model->blocks().size(); ++i) {
    const std::string block = "block" + std::to_string(i) + ".";
    const at::Tensor projected =
        at::linear(norm(x, block + "attention_norm"), get(block + "attention.in_proj_weight"),
                   get(block + "attention.in_proj_bias"))
            .view({2, seqlen, 3, kHeads, kEmbed / kHeads})
            .permute({2, 0, 3, 1, 4});
    at::Tensor scores =
        projected[0].matmul(projected[1].transpose(-1, -2)) / std::sqrt(kEmbed / kHeads);
    scores = scores.masked_fill(at::tril(scores.new_ones({seqlen, seqlen})).eq(0),
                                -std::numeric_limits<double>::infinity());
    const at::Tensor heads = at::softmax(scores, -1).matmul(projected[2]);
    x = x + at::linear(heads.transpose(1, 2).flatten(2), get(block + "attention.out_proj.weight"),
                       get(block + "attention.out_proj.bias"));
    const at::Tensor hidden = at::gelu(at::linear(
        norm(x, block + "mlp_norm"), get(block + "mlp_in.weight"), get(block + "mlp_in.bias")));
    x = x + at::linear(hidden, get(block + "mlp_out.weight"), get(block + "mlp_out.bias"));
  }
  return at::linear(norm(x, "norm"), get("head.weight"), get("head.bias"));
}

TEST(SequenceModel, IsThePreNormTransformer) {
  SequenceModel model = make_model(small(Positions::kLearned), {"full", "flash"});
  const at::Tensor logits = model->forward(ids());
  ASSERT_EQ(logits.sizes(), (std::vector<std::int64_t>{2, kSeqlen, kAnswers}));
  EXPECT_TRUE(at::allclose(logits, by_hand(model, ids()), 1e-10, 1e-12));
}

TEST(SequenceModel, NoTokenSeesALaterOne) {
  for (const Positions positions :
       {Positions::kNone, Positions::kLearned, Positions::kSinusoidal, Positions::kRotary}) {
    for (const char *variant : {"full", "flash", "sliding_window", "linear"}) {
      SequenceModel model = make_model(small(positions), {variant, variant});
      const at::Tensor before = model->forward(ids());
      at::Tensor changed = ids();
      changed.select(1, 5) = (changed.select(1, 5) + 1).remainder(kVocab);
      const at::Tensor after = model->forward(changed);
      EXPECT_TRUE(at::allclose(after.narrow(1, 0, 5), before.narrow(1, 0, 5), 1e-12, 1e-14))
          << variant << " " << positions_name(positions);
      EXPECT_FALSE(at::allclose(after.narrow(1, 5, 4), before.narrow(1, 5, 4), 1e-6, 1e-8))
          << variant << " " << positions_name(positions);
    }
  }
}

TEST(SequenceModel, OrderMattersWhereThereArePositions) {
  // Not causal and without positions the other tokens are a set: their order
  // changes nothing.
  for (const Positions positions :
       {Positions::kNone, Positions::kLearned, Positions::kSinusoidal, Positions::kRotary}) {
    SequenceModelOptions options = small(positions);
    options.causal = false;
    SequenceModel model = make_model(options, {"full", "full"});
    at::Tensor swapped = ids();
    swapped.select(1, 2).copy_(ids().select(1, 6));
    swapped.select(1, 6).copy_(ids().select(1, 2));
    ASSERT_FALSE(at::equal(swapped, ids()));
    const bool same = at::allclose(model->forward(swapped).select(1, 0),
                                   model->forward(ids()).select(1, 0), 1e-9, 1e-12);
    EXPECT_EQ(same, positions == Positions::kNone) << positions_name(positions);
  }
}

TEST(SequenceModel, LayersMayDiffer) {
  SequenceModel model = make_model(small(Positions::kRotary), {"sliding_window", "linear", "full"});
  EXPECT_EQ(model->blocks().size(), 3u);
  model->forward(ids()).sum().backward();
  for (const auto &parameter : model->named_parameters()) {
    ASSERT_TRUE(parameter.value().grad().defined()) << parameter.key();
    EXPECT_TRUE(parameter.value().grad().isfinite().all().item<bool>()) << parameter.key();
  }
}

TEST(SequenceModel, PositionsThatAreNotLearnedTakeAnyLength) {
  for (const Positions positions : {Positions::kNone, Positions::kSinusoidal, Positions::kRotary}) {
    SequenceModel model = make_model(small(positions), {"flash"});
    EXPECT_EQ(model->forward(ids(3 * kSeqlen)).size(1), 3 * kSeqlen);
  }
  SequenceModel model = make_model(small(Positions::kLearned), {"flash"});
  try {
    model->forward(ids(kSeqlen + 1));
    FAIL() << "no error";
  } catch (const ConfigError &error) {
    EXPECT_THAT(error.what(), HasSubstr("10 tokens, but positions are learned up to 9"));
  }
}

TEST(SequenceModel, RefusesSizesThatDoNotFit) {
  const auto refused = [](SequenceModelOptions options, const std::vector<std::string> &variants) {
    try {
      make_model(options, variants);
    } catch (const ConfigError &error) {
      return std::string(error.what());
    }
    return std::string("no error");
  };
  EXPECT_THAT(refused(small(Positions::kNone), {}), HasSubstr("at least one layer"));
  SequenceModelOptions odd = small(Positions::kRotary);
  odd.embed_dim = 9;
  EXPECT_THAT(refused(odd, {"full"}), HasSubstr("rotary positions turn pairs"));
  odd.positions = Positions::kSinusoidal;
  EXPECT_THAT(refused(odd, {"full"}), HasSubstr("even model.embed_dim"));
  SequenceModelOptions heads = small(Positions::kNone);
  heads.heads = 5;
  EXPECT_THAT(refused(heads, {"full"}), HasSubstr("cannot be split into 5 heads"));
}

}  // namespace
}  // namespace attnlab
