// Attention written out in float32 with a backward pass by hand, right or with a rounding fault
// that kernels have had: what the correctness gate must tell apart.
#pragma once

#include <cstdint>
#include <string>

#include "variants/api/variant.h"

namespace attnlab::measure {

enum class Rounding {
  kRight,             ///< as a fused kernel: weights recomputed from lse, delta = rowsum(dO * O)
  kRecomputedScores,  ///< backward rounds scores in another way than the forward pass that made lse
  kOneChain,          ///< out is summed over all keys one after another
  kLongDifference,    ///< linear: dq as the difference of two sums over all keys
};

/// Causal softmax attention, for kLongDifference linear attention (elu + 1), whose `Rounding` is
/// known. Computes only the rows that measure_accuracy samples with these options (the others are
/// zero), so that long sequences are cheap.
class RoundedVariant : public Variant {
 public:
  RoundedVariant(Rounding rounding, bool linear, std::int64_t rows, std::uint64_t seed)
      : rounding_(rounding), linear_(linear), rows_(rows), seed_(seed) {}

  VariantInfo info() const override;

 protected:
  Outputs do_forward(const Inputs& inputs) const override;
  at::Tensor do_reference(const Inputs& inputs, const at::Tensor& rows) const override;

 private:
  Rounding rounding_;
  bool linear_;
  std::int64_t rows_;
  std::uint64_t seed_;
};

}  // namespace attnlab::measure
