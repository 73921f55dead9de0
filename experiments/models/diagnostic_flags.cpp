#include "experiments/models/diagnostic_flags.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <string_view>

namespace attnlab {
namespace {

constexpr std::int64_t kAll = DiagnosticRow::kAllHeads;

/// Finite values of a quantity by layer, of all heads together.
std::map<std::int64_t, double> by_layer(const std::vector<DiagnosticRow> &rows,
                                        std::string_view quantity) {
  std::map<std::int64_t, double> values;
  for (const DiagnosticRow &row : rows) {
    if (row.quantity == quantity && row.head == kAll && std::isfinite(row.value) &&
        row.layer != DiagnosticRow::kOutsideLayers) {
      values[row.layer] = row.value;
    }
  }
  return values;
}

/// Of the first block against the last one.
void flag_depth(const std::vector<DiagnosticRow> &rows, const DiagnosticBounds &bounds,
                std::vector<DiagnosticFlag> &flags) {
  const std::map<std::int64_t, double> rms = by_layer(rows, "gradient_rms");
  if (rms.size() < 2) return;
  const auto [first, first_rms] = *rms.begin();
  const auto [last, last_rms] = *rms.rbegin();
  const std::string values = fmt::format("gradient_rms is {:g} at layer {} and {:g} at layer {}",
                                         first_rms, first, last_rms, last);
  if (first_rms < bounds.vanishing * last_rms) {
    flags.push_back({first, kAll, "vanishing",
                     fmt::format("{}, a ratio below {:g}", values, bounds.vanishing)});
  }
  if (first_rms > bounds.exploding * last_rms) {
    flags.push_back({first, kAll, "exploding",
                     fmt::format("{}, a ratio above {:g}", values, bounds.exploding)});
  }
}

/// Layers that learn next to nothing beside the others.
void flag_layers(const std::vector<DiagnosticRow> &rows, const DiagnosticBounds &bounds,
                 std::vector<DiagnosticFlag> &flags) {
  const std::map<std::int64_t, double> norms = by_layer(rows, "gradient_norm");
  if (norms.empty()) return;
  const auto largest = std::ranges::max_element(
      norms, [](const auto &a, const auto &b) { return a.second < b.second; });
  for (const auto &[layer, norm] : norms) {
    if (norm == 0 || norm < bounds.vanishing * largest->second) {
      flags.push_back(
          {layer, kAll, "vanishing",
           fmt::format("gradient_norm is {:g}, that of layer {} {:g}; a ratio below {:g}", norm,
                       largest->first, largest->second, bounds.vanishing)});
    }
  }
  const std::map<std::int64_t, double> activations = by_layer(rows, "activation_rms");
  for (const auto &[layer, rms] : activations) {
    if (rms > bounds.exploding * activations.begin()->second) {
      flags.push_back({layer, kAll, "exploding",
                       fmt::format("activation_rms is {:g}, that of layer {} {:g}; a ratio above "
                                   "{:g}",
                                   rms, activations.begin()->first, activations.begin()->second,
                                   bounds.exploding)});
    }
  }
}

/// Heads that get next to nothing of the gradient that reaches their block.
void flag_heads(const std::vector<DiagnosticRow> &rows, const DiagnosticBounds &bounds,
                std::vector<DiagnosticFlag> &flags) {
  const std::map<std::int64_t, double> blocks = by_layer(rows, "gradient_rms");
  for (const DiagnosticRow &row : rows) {
    if (row.quantity != "gradient_rms" || row.head == kAll) continue;
    const auto block = blocks.find(row.layer);
    if (block == blocks.end() || !(row.value < bounds.vanishing * block->second)) continue;
    flags.push_back({row.layer, row.head, "vanishing",
                     fmt::format("gradient_rms is {:g}, that of the block {:g}; a ratio below {:g}",
                                 row.value, block->second, bounds.vanishing)});
  }
}

void flag_row(const DiagnosticRow &row, const DiagnosticBounds &bounds,
              std::vector<DiagnosticFlag> &flags) {
  const auto flag = [&](const char *kind, std::string reason) {
    flags.push_back({row.layer, row.head, kind, std::move(reason)});
  };
  if (row.quantity == "nonfinite") {
    if (row.value > 0) {
      flag("nonfinite", fmt::format("{:g} of the values are NaN or infinite", row.value));
    }
  } else if (!std::isfinite(row.value)) {
    flag("nonfinite", fmt::format("{} is {}", row.quantity, row.value));
  } else if (row.head != kAll && row.quantity == "entropy" && row.value < bounds.entropy) {
    flag("entropy_collapse", fmt::format("entropy is {:g} of that of uniform attention, below {:g}",
                                         row.value, bounds.entropy));
  } else if (row.head != kAll && row.quantity == "logit_max" && row.value > bounds.logit) {
    flag("logit_explosion",
         fmt::format("the largest score is {:g}, above {:g}", row.value, bounds.logit));
  }
}

}  // namespace

std::vector<DiagnosticFlag> find_flags(const std::vector<DiagnosticRow> &rows,
                                       const DiagnosticBounds &bounds) {
  std::vector<DiagnosticFlag> flags;
  for (const DiagnosticRow &row : rows) flag_row(row, bounds, flags);
  flag_depth(rows, bounds, flags);
  flag_layers(rows, bounds, flags);
  flag_heads(rows, bounds, flags);
  return flags;
}

}  // namespace attnlab
