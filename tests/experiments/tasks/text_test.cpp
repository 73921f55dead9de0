#include "experiments/tasks/text.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "experiments/tasks/levels.h"
#include "tests/experiments/tasks/support.h"

namespace attnlab::tasks {
namespace {

using testing::HasSubstr;

/// A file that is removed at the end.
class TextFile {
 public:
  explicit TextFile(const std::string& text) {
    static int count = 0;
    path_ = std::filesystem::temp_directory_path() /
            ("attnlab_text_" + std::to_string(::getpid()) + "_" + std::to_string(count++));
    std::ofstream(path_, std::ios::binary) << text;
  }
  ~TextFile() { std::filesystem::remove(path_); }
  TextFile(const TextFile&) = delete;
  TextFile& operator=(const TextFile&) = delete;
  std::string word() const { return "path=" + path_.string(); }

 private:
  std::filesystem::path path_;
};

/// 1000 bytes, each place recognisable by itself and its successor.
std::string counting_text() {
  std::string text;
  for (int i = 0; i < 500; ++i) {
    text += static_cast<char>(i / 250);
    text += static_cast<char>(i % 250);
  }
  return text;
}

std::size_t place_of(const std::string& text, const Sample& sample) {
  std::string window;
  for (const std::int32_t byte : sample.inputs) window += static_cast<char>(byte);
  window += static_cast<char>(sample.labels.back());
  const std::size_t place = text.find(window);
  EXPECT_NE(place, std::string::npos);
  for (std::size_t i = 0; i < sample.labels.size(); ++i) {
    EXPECT_EQ(sample.labels[i], static_cast<unsigned char>(text[place + i + 1]));
  }
  return place;
}

TEST(TextTest, WindowsOfEachPartStayInIt) {
  const std::string text = counting_text();
  const TextFile file(text);
  const auto task = task_of("text", {file.word(), "seqlen=7"});
  std::vector<double> places(893);
  for (std::uint64_t i = 0; i < 20'000; ++i) {
    ++places.at(place_of(text, task->sample(Split::kTrain, i)));
  }
  expect_uniform(places, "places of training windows");
  EXPECT_EQ(task->size(Split::kValidation), 7u);
  EXPECT_EQ(task->size(Split::kTest), 7u);
  for (std::uint64_t i = 0; i < 7; ++i) {
    EXPECT_EQ(place_of(text, task->sample(Split::kValidation, i)), 900 + 7 * i);
    EXPECT_EQ(place_of(text, task->sample(Split::kTest, i)), 950 + 7 * i);
  }
  EXPECT_THROW(task->sample(Split::kTest, 7), ConfigError);
}

TEST(TextTest, EveryByteIsItsOwnToken) {
  std::string text;
  for (int i = 0; i < 2560; ++i) text += static_cast<char>(255 - i % 256);
  const TextFile file(text);
  const Sample sample = task_of("text", {file.word(), "seqlen=100"})->sample(Split::kTest, 0);
  EXPECT_EQ(sample.inputs[0], 255 - 2375 % 256);
  EXPECT_EQ(task_of("text", {file.word(), "seqlen=100"})->vocabulary()[10], "0x0a");
}

// The book: more context predicts better.
TEST(TextTest, NgramsOfTheBookPredictBetterTheLongerTheyAre) {
  const auto found = levels(*task_of("text"), Split::kTest, 150);
  ASSERT_EQ(found.size(), 5u);
  EXPECT_DOUBLE_EQ(found[0].accuracy, 1.0 / 256);
  EXPECT_NEAR(found[1].accuracy, 0.19, 0.02);  // the share of spaces
  for (std::size_t i = 2; i < 5; ++i) EXPECT_GT(found[i].accuracy, found[i - 1].accuracy + 0.03);
}

TEST(TextTest, FilesThatCannotServeAreRefusedInWords) {
  EXPECT_THAT(error_of("text", {"path=/no/such/file"}), HasSubstr("is no file"));
  EXPECT_THAT(error_of("text", {"path=/tmp"}), HasSubstr("is no file"));
  EXPECT_THAT(error_of("text", {"path=/dev/zero"}), HasSubstr("is no file"));
  const TextFile empty(""), small(std::string(1000, 'x'));
  EXPECT_THAT(error_of("text", {empty.word()}), HasSubstr("0 bytes"));
  EXPECT_THAT(error_of("text", {small.word(), "seqlen=50"}), HasSubstr("seqlen=49 at most"));
  EXPECT_EQ(error_of("text", {small.word(), "seqlen=49"}), "no error");
}

}  // namespace
}  // namespace attnlab::tasks
