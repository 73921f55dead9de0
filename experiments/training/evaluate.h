// How well a model answers, over all and by how far back it must look.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "experiments/models/transformer.h"
#include "experiments/tasks/task.h"

namespace attnlab::training {

/// One number of a test.
struct Score {
  /// "" = all answers; "distance=8..15": those whose evidence is so far back (Task::evidence);
  /// "position=64..127": bytes with so many before them.
  std::string slice;
  std::string metric;  ///< as tasks::metric_name; of a distance always accuracy
  double value = 0;
  /// Half of the 95 % interval, from the spread between samples (ratio estimator, Cochran 1977,
  /// section 2.11).
  double ci = 0;
  std::int64_t samples = 0;  ///< samples that ask for such an answer
};

/// The first score is that of all answers. Uses the first `samples` of a part, or as many as it
/// has, `batch` at once; leaves the model as it is. Throws ConfigError as Task::sample and the
/// model.
std::vector<Score> evaluate(SequenceModel& model, const tasks::Task& task, tasks::Split split,
                            std::int64_t samples, std::int64_t batch);

/// Whether `a` is the better value of the metric. NaN is never better.
bool is_better(tasks::Metric metric, double a, double b);

}  // namespace attnlab::training
