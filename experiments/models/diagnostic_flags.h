// What in the numbers of diagnostics.h looks like a training that goes wrong.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "experiments/models/diagnostics.h"

namespace attnlab {

/// Where no source is named, the bound is ours: a guess at what is worth a look, not a proof.
struct DiagnosticBounds {
  /// Vanishing: gradient_rms of the first block over that of the last one, gradient_norm of a layer
  /// over the largest of any layer, or gradient_rms of a head over that of its block, below this.
  /// (The biases of a block keep its gradient_norm large where its heads learn nothing.)
  double vanishing = 1e-3;
  /// Exploding: gradient_rms of the first block over that of the last one, and activation_rms of a
  /// block over that of the first one, above this.
  double exploding = 1e3;
  /// Low entropy goes with an oscillating or diverging loss: Zhai et al. 2023 (arXiv 2303.06296,
  /// abstract). The bound is ours; a head that copies one token is below it too, rightly.
  double entropy = 0.05;
  /// Kimi K2 (2025, arXiv 2507.20534, MuonClip with tau = 100) scales the weights of a head's
  /// queries and keys down where its largest score passes 100.
  double logit = 100;
};

struct DiagnosticFlag {
  std::int64_t layer;
  std::int64_t head;   ///< DiagnosticRow::kAllHeads where it is about the layer
  std::string kind;    ///< vanishing, exploding, entropy_collapse, logit_explosion, nonfinite
  std::string reason;  ///< with the values and the bound
};

/// `rows` are those of one step. A row that is not finite raises nothing but nonfinite.
std::vector<DiagnosticFlag> find_flags(const std::vector<DiagnosticRow> &rows,
                                       const DiagnosticBounds &bounds = {});

}  // namespace attnlab
