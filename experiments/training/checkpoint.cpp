#include "experiments/training/checkpoint.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <c10/util/Exception.h>
#include <fmt/format.h>
#include <torch/serialize/input-archive.h>
#include <torch/serialize/output-archive.h>

#include <sstream>

#include "experiments/process/files.h"
#include "kernels/core/error.h"

namespace attnlab::training {
namespace {

std::string first_line(const char* text) {
  const std::string message(text);
  return message.substr(0, message.find('\n'));
}

std::string read_text(torch::serialize::InputArchive& archive, const std::string& key) {
  c10::IValue value;
  archive.read(key, value);
  return value.toStringRef();
}

}  // namespace

void save_checkpoint(const std::filesystem::path& path, const CheckpointText& text,
                     SequenceModel& model, const torch::optim::AdamW& optimizer,
                     const at::Tensor& best) {
  torch::serialize::OutputArchive archive, weights, moments;
  model->save(weights);
  optimizer.save(moments);
  archive.write("identity", c10::IValue(text.identity));
  archive.write("state", c10::IValue(text.state));
  archive.write("model", weights);
  archive.write("optimizer", moments);
  archive.write("best", best.defined() ? best : at::empty({0}));
  std::ostringstream bytes;
  archive.save_to(bytes);
  process::write_file(path, bytes.str());
}

void save_weights(const std::filesystem::path& path, SequenceModel& model) {
  torch::serialize::OutputArchive archive;
  model->save(archive);
  std::ostringstream bytes;
  archive.save_to(bytes);
  process::write_file(path, bytes.str());
}

std::string load_checkpoint(const std::filesystem::path& path, const std::string& identity,
                            SequenceModel& model, torch::optim::AdamW& optimizer,
                            at::Tensor& best) {
  if (!std::filesystem::exists(path)) return {};
  try {
    torch::serialize::InputArchive archive, weights, moments;
    archive.load_from(path.string());
    if (read_text(archive, "identity") != identity) return {};
    archive.read("model", weights);
    archive.read("optimizer", moments);
    model->load(weights);
    optimizer.load(moments);
    archive.read("best", best);
    if (best.numel() == 0) best = at::Tensor();
    return read_text(archive, "state");
  } catch (const c10::Error& error) {
    throw OutputError(fmt::format(
        "[train] the checkpoint {} cannot be read: {}. Remove it to train from the beginning.",
        path.string(), first_line(error.what_without_backtrace())));
  }
}

at::Tensor weights_of(const SequenceModel& model) {
  std::vector<at::Tensor> rows;
  for (const at::Tensor& parameter : model->parameters())
    rows.push_back(parameter.detach().flatten());
  return at::cat(rows);
}

void set_weights(SequenceModel& model, const at::Tensor& weights) {
  const at::NoGradGuard no_grad;
  std::int64_t begin = 0;
  for (at::Tensor& parameter : model->parameters()) {
    parameter.copy_(weights.narrow(0, begin, parameter.numel()).view(parameter.sizes()));
    begin += parameter.numel();
  }
}

}  // namespace attnlab::training
