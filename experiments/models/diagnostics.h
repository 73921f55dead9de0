// What happens inside a model while it learns: sizes of activations, gradients and updates per
// layer and head, largest score, entropy of attention, values that are not finite.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "experiments/models/attention_statistics.h"
#include "experiments/models/transformer.h"

namespace attnlab {

/// Quantities (rms = root of the mean square, norm = root of the sum of squares):
///   activation_rms  output of the block; of a head: of the variant's output
///   gradient_rms    gradient of the loss by the same tensors
///   weight_norm, gradient_norm  of all parameters of the layer
///   update_norm, update_ratio   of the change of these parameters; over weight_norm before it
///   logit_max, entropy          as AttentionStatistics; of a layer: the largest, the mean
///   nonfinite       fraction of NaN and infinities in the tensors of activation_rms and
///                   gradient_rms, and for layers in the parameters' gradients
/// What a model does not have (a variant without weights, no gradient) has no row. Sums are in
/// float64, over the tensors as the pass made them: under autocast bfloat16 among them.
struct DiagnosticRow {
  std::int64_t step;
  std::int64_t layer;  ///< from 0; kOutsideLayers
  std::int64_t head;   ///< from 0; kAllHeads
  std::string quantity;
  double value;

  /// Embeddings, final norm and output layer.
  static constexpr std::int64_t kOutsideLayers = -1;
  static constexpr std::int64_t kAllHeads = -1;
};

/// Watches a model from its construction to its destruction. In a training:
///   Diagnostics diagnostics(model);        // before the forward pass
///   ... forward, loss.backward() ...
///   auto rows = diagnostics.rows(step);    // before the gradients are clipped
///   diagnostics.keep_weights();
///   optimizer.step();
///   auto more = diagnostics.update_rows(step);
/// Where a step has several forward passes, activations and their gradients are those of the last
/// one; parameters' gradients are what was summed up. One observer at a time.
class Diagnostics : private ForwardObserver {
 public:
  explicit Diagnostics(SequenceModel model);
  ~Diagnostics() override;
  Diagnostics(const Diagnostics &) = delete;
  Diagnostics &operator=(const Diagnostics &) = delete;

  /// All but the updates. Throws Error where no forward pass was seen.
  std::vector<DiagnosticRow> rows(std::int64_t step) const;

  /// Copies the parameters, to which update_rows compares.
  void keep_weights();
  /// update_norm and update_ratio (absent where the weights were 0). Throws Error without
  /// keep_weights.
  std::vector<DiagnosticRow> update_rows(std::int64_t step) const;

 private:
  struct Layer {
    const Variant *variant = nullptr;
    Inputs inputs;     ///< detached
    at::Tensor heads;  ///< the variant's output `[batch, heads, seqlen, head_dim]`
    at::Tensor output;
  };

  void on_attention(std::int64_t layer, const Variant &variant, const Inputs &inputs,
                    const Outputs &outputs) override;
  void on_block(std::int64_t layer, const at::Tensor &output) override;

  SequenceModel model_;
  std::vector<Layer> layers_;
  std::map<std::int64_t, std::vector<at::Tensor>> parameters_;  ///< by layer
  std::map<std::int64_t, std::vector<at::Tensor>> kept_;
};

/// Forward and backward of the mean cross entropy of one batch, and its rows; no update. ids and
/// labels `[batch, seqlen]` int64, -100 where nothing is asked. The gradients that the parameters
/// had are put back.
std::vector<DiagnosticRow> diagnose(SequenceModel &model, const at::Tensor &ids,
                                    const at::Tensor &labels, std::int64_t step);

}  // namespace attnlab
