// How large the scores of an attention are, and how spread its weights.
#pragma once

#include <optional>
#include <vector>

#include "variants/api/variant.h"

namespace attnlab {

/// Of each head, over all samples and queries; empty where a head has none.
struct AttentionStatistics {
  /// Largest |scale * q.k| of the pairs that are visible, before any bias or cap. NaN where one is.
  /// Empty for variants that are not exact: they exponentiate no such score.
  std::vector<std::optional<double>> logit_max;
  /// Mean of entropy (nats) over the log of the number of visible keys, of the queries that see two
  /// or more: 1 = uniform, 0 = all weight on one key. Empty where the weights are no distribution
  /// (negative, not finite, or a sum that is not 1).
  std::vector<std::optional<double>> entropy;
};

/// From Variant::weights in float64, by blocks of queries, so that no more than a few 32 MiB are
/// needed for any length; time is that of full attention in plain Torch. A key is visible where it
/// gets a weight when all scores are equal. Everything is empty where the variant has no weights.
AttentionStatistics attention_statistics(const Variant &variant, const Inputs &inputs);

}  // namespace attnlab
