// Where a training stands, apart from its tensors.
#pragma once

#include <string>

#include "experiments/training/trainer.h"

namespace attnlab::training {

struct TrainState {
  std::size_t lr_index = 0;     ///< which of the learning rates is being tried
  std::int64_t step = 0;        ///< updates done with it
  std::int64_t stale = 0;       ///< looks at the validation part since the best of this training
  double best_look = 0;         ///< the metric at that best look; NaN = none yet
  TrainResult result;           ///< of the learning rates before; the curve up to now
  std::vector<double> step_ms;  ///< of the training that runs
  std::int64_t tokens = 0;      ///< that went through it
  double seconds = 0;           ///< that its updates took
};

/// JSON and back; not-a-number survives.
std::string encode_state(const TrainState& state);
TrainState decode_state(const std::string& text);

}  // namespace attnlab::training
