// What a model is trained and tested on: a stream of samples whose training, validation and test
// parts never meet. Generated tasks and data read from files share this interface; neither needs
// Torch.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "experiments/tasks/random.h"

namespace attnlab::tasks {

enum class Split { kTrain, kValidation, kTest };

/// "train", "validation", "test".
const char* split_name(Split split);

/// A label that no loss and no score counts.
inline constexpr std::int32_t kNotScored = -100;

/// Token ids, and what should be answered. Either as many labels as inputs (the answer at each
/// position, kNotScored where none is asked), or one label, the answer to the whole sequence.
struct Sample {
  std::vector<std::int32_t> inputs;
  std::vector<std::int32_t> labels;

  bool operator==(const Sample&) const = default;
};

/// A way to answer without solving the task; its accuracy belongs beside every score.
struct Shortcut {
  std::string name;
  std::string help;
  /// Of the inputs and the position that is asked. `kRule`: the answer itself. `kFitted`: a feature
  /// of which the answer is made, the most frequent label of the training part with this feature.
  enum class Kind { kRule, kFitted } kind = Kind::kRule;
  std::function<std::int64_t(std::span<const std::int32_t> inputs, std::size_t position)> value;
};

/// How answers are scored.
enum class Metric {
  kAccuracy,     ///< part of the answers that are right
  kExactMatch,   ///< part of the samples whose answers are all right
  kBitsPerByte,  ///< -log2 of the probability of the right byte, the mean over positions
};

/// "accuracy", "exact_match", "bits_per_byte".
const char* metric_name(Metric metric);

/// Immutable after construction; every function may be called by several threads at once.
class Task {
 public:
  virtual ~Task() = default;

  /// Sample `index` of a part: a pure function of the task's keys, the part and the index. Throws
  /// ConfigError for an index that the part does not have, and where no sample can be found.
  virtual Sample sample(Split split, std::uint64_t index) const = 0;
  /// The same with the labels that a test asks, where training has others: what is fitted to
  /// answers (levels.h) needs these.
  virtual Sample graded(Split split, std::uint64_t index) const { return sample(split, index); }
  /// How many samples a part has.
  virtual std::uint64_t size(Split) const { return std::numeric_limits<std::uint64_t>::max(); }

  /// A whole part as one sequence, for models that count; empty where a part is none.
  virtual std::vector<std::int32_t> corpus(Split) const { return {}; }

  /// The text of each token, in the order of ids. Labels are such ids, too.
  virtual std::vector<std::string> vocabulary() const = 0;
  /// How many different labels are possible where one is asked.
  virtual std::int64_t answers() const = 0;
  /// The accuracy of a guess that is uniform among the possible labels.
  double chance() const { return 1.0 / static_cast<double>(answers()); }
  /// A sample counts as right only where all of its answers are.
  virtual bool exact_match() const { return false; }
  virtual Metric metric() const { return exact_match() ? Metric::kExactMatch : Metric::kAccuracy; }
  /// Beside the most frequent label, which every task is measured against.
  virtual std::vector<Shortcut> shortcuts() const { return {}; }
  /// How far back one must look: the index of the latest input that the label at `position` can be
  /// known from (the key that is asked for); nothing where it is not one place.
  virtual std::optional<std::size_t> evidence(std::span<const std::int32_t>, std::size_t) const {
    return std::nullopt;
  }
};

/// A task that makes its samples. Which part a content belongs to is decided by a hash of it (a
/// half for training, a quarter for validation, a quarter for the test), whatever the seed: so no
/// content is in two parts, not even those of different seeds.
class GeneratedTask : public Task {
 public:
  Sample sample(Split split, std::uint64_t index) const final;
  Sample graded(Split split, std::uint64_t index) const final;

 protected:
  GeneratedTask(std::string name, std::uint64_t seed) : name_(std::move(name)), seed_(seed) {}

  /// A candidate by the task's own law, with the labels of a test, or nothing where it belongs to
  /// another part. All randomness comes from `random`.
  virtual std::optional<Sample> draw(Random& random, Split split) const = 0;

  /// Changes the labels to those of the training part, for tasks that train on more.
  virtual void label_for_training(Sample&) const {}

  /// The sample if its inputs belong to the part.
  static std::optional<Sample> keep_if(Split split, Sample sample);
  static bool belongs(const std::vector<std::int32_t>& content, Split split);
  const std::string& name() const { return name_; }

 private:
  std::string name_;
  std::uint64_t seed_;
};

}  // namespace attnlab::tasks
