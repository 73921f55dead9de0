// The state of a training on disk, so that one that was killed goes on to the same bits.
#pragma once

#include <torch/optim/adamw.h>

#include <filesystem>
#include <string>

#include "experiments/models/transformer.h"

namespace attnlab::training {

/// What of a training is no tensor: a JSON text of the trainer, and what it belongs to.
struct CheckpointText {
  std::string identity;  ///< of the config; a checkpoint of another one is not used
  std::string state;
};

/// Replaces `path` in one go: a crash leaves the old or the new. `best`: weights of the best
/// learning rate so far, or an undefined tensor. Throws OutputError.
void save_checkpoint(const std::filesystem::path& path, const CheckpointText& text,
                     SequenceModel& model, const torch::optim::AdamW& optimizer,
                     const at::Tensor& best);

/// Fills model and optimizer, and `best`. Returns the state's text, or "" where there is no
/// checkpoint of this identity; then nothing is changed. Throws OutputError for a damaged file.
std::string load_checkpoint(const std::filesystem::path& path, const std::string& identity,
                            SequenceModel& model, torch::optim::AdamW& optimizer, at::Tensor& best);

/// The parameters by name, as torch.jit.load or torch::load read them. Throws OutputError.
void save_weights(const std::filesystem::path& path, SequenceModel& model);

/// All parameters in one row, in the order of the model.
at::Tensor weights_of(const SequenceModel& model);
void set_weights(SequenceModel& model, const at::Tensor& weights);

}  // namespace attnlab::training
