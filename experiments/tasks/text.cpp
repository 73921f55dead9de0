#include "experiments/tasks/text.h"

#include <fmt/format.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <utility>

#include "experiments/root.h"
#include "kernels/core/error.h"

namespace attnlab::tasks {
namespace {

std::string read_text(const std::filesystem::path& path) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) {
    throw ConfigError(fmt::format("[task text] path='{}' is no file{}; name a text file",
                                  path.string(), error ? " (" + error.message() + ")" : ""));
  }
  std::ifstream file(path, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (!file.is_open() || file.bad()) {
    throw ConfigError(
        fmt::format("[task text] cannot read path='{}': {}", path.string(), std::strerror(errno)));
  }
  return text;
}

/// The bytes up to `position`, the last `order` of them, as one number.
std::int64_t bytes_before(std::span<const std::int32_t> inputs, std::size_t position,
                          std::size_t order) {
  std::int64_t context = 0;
  for (std::size_t i = 0; i < order; ++i) {
    // 256 stands for what is before the window.
    context = context * 257 + (position < i ? 256 : inputs[position - i]);
  }
  return context;
}

class Text : public Task {
 public:
  explicit Text(const Keys& keys)
      : seqlen_(static_cast<std::size_t>(keys.get_int("seqlen"))), seed_(keys.seed()) {
    const std::string& given = keys.get_string("path");
    const std::filesystem::path path = given.empty()
                                           ? project_root() / "experiments" / "data" / "kjv.txt"
                                           : std::filesystem::path(given);
    text_ = read_text(path);
    borders_ = {0, text_.size() / 100 * 90, text_.size() / 100 * 95, text_.size()};
    for (const Split split : {Split::kTrain, Split::kValidation, Split::kTest}) {
      if (bytes_of(split) > seqlen_) continue;
      throw ConfigError(fmt::format(
          "[task text] the part '{}' of '{}' has {} bytes, too few for seqlen={} and the byte to "
          "predict after it; take a longer text or seqlen={} at most",
          split_name(split), path.string(), bytes_of(split), seqlen_,
          bytes_of(split) == 0 ? 0 : bytes_of(split) - 1));
    }
  }

  Sample sample(Split split, std::uint64_t index) const override {
    if (index >= size(split)) {
      throw ConfigError(
          fmt::format("[task text] the part '{}' has {} windows; there is none with "
                      "the index {}",
                      split_name(split), size(split), index));
    }
    const std::size_t begin = borders_[static_cast<std::size_t>(split)];
    std::size_t place = begin + index * seqlen_;
    if (split == Split::kTrain) {
      place = begin + Random(seed_, 0, index).below(bytes_of(split) - seqlen_);
    }
    Sample window;
    for (std::size_t i = place; i < place + seqlen_; ++i) {
      window.inputs.push_back(static_cast<unsigned char>(text_[i]));
      window.labels.push_back(static_cast<unsigned char>(text_[i + 1]));
    }
    return window;
  }

  /// Windows of the training part are drawn without end; those of the others do not overlap.
  std::uint64_t size(Split split) const override {
    if (split == Split::kTrain) return Task::size(split);
    return (bytes_of(split) - 1) / seqlen_;
  }

  std::vector<std::int32_t> corpus(Split split) const override {
    std::vector<std::int32_t> bytes;
    const std::size_t begin = borders_[static_cast<std::size_t>(split)];
    for (std::size_t i = begin; i < begin + bytes_of(split); ++i) {
      bytes.push_back(static_cast<unsigned char>(text_[i]));
    }
    return bytes;
  }

  std::vector<std::string> vocabulary() const override {
    std::vector<std::string> tokens;
    for (int byte = 0; byte < 256; ++byte) {
      const bool printable = byte > 0x20 && byte < 0x7f;
      tokens.push_back(printable ? std::string(1, static_cast<char>(byte))
                                 : fmt::format("0x{:02x}", byte));
    }
    return tokens;
  }

  std::int64_t answers() const override { return 256; }
  Metric metric() const override { return Metric::kBitsPerByte; }

  std::vector<Shortcut> shortcuts() const override {
    std::vector<Shortcut> orders;
    for (const std::size_t order : {1, 2, 3}) {
      orders.push_back({fmt::format("ngram_{}", order + 1),
                        fmt::format("the most frequent byte after the last {}", order),
                        Shortcut::Kind::kFitted,
                        [order](std::span<const std::int32_t> inputs, std::size_t position) {
                          return bytes_before(inputs, position, order);
                        }});
    }
    return orders;
  }

 private:
  std::size_t bytes_of(Split split) const {
    const auto part = static_cast<std::size_t>(split);
    return borders_[part + 1] - borders_[part];
  }

  std::size_t seqlen_;
  std::uint64_t seed_;
  std::string text_;
  std::array<std::size_t, 4> borders_{};
};

}  // namespace

std::vector<OptionSpec> text_specs() {
  return {OptionSpec{"path", std::string(), "a text file; empty = the book that is shipped"},
          int_key("seqlen", 256, 1, kMaxSeqlen, "bytes of a window"),
          int_key("seed", 0, 0, std::int64_t{1} << 53, "of the places of training windows")};
}

std::unique_ptr<Task> make_text(const Keys& keys) { return std::make_unique<Text>(keys); }

}  // namespace attnlab::tasks
