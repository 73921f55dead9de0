#include "experiments/training/learning_rate.h"

#include <cmath>
#include <numbers>

namespace attnlab::training {

double learning_rate(std::int64_t step, std::int64_t steps, double warmup, double peak) {
  const auto rising = static_cast<std::int64_t>(warmup * static_cast<double>(steps));
  if (step < rising) return peak * static_cast<double>(step + 1) / static_cast<double>(rising);
  const double part = static_cast<double>(step - rising) / static_cast<double>(steps - rising);
  return peak * 0.5 * (1 + std::cos(std::numbers::pi * part));
}

}  // namespace attnlab::training
