#include "experiments/process/capped_output.h"

#include <gtest/gtest.h>

namespace attnlab::process {
namespace {

std::string capped(std::size_t limit, const std::string& text, std::size_t piece) {
  CappedOutput output(limit);
  for (std::size_t i = 0; i < text.size(); i += piece) {
    const std::string part = text.substr(i, piece);
    output.append(part.data(), part.size());
  }
  return output.text();
}

TEST(CappedOutput, KeepsEverythingUpToTheLimit) {
  for (std::size_t piece = 1; piece <= 10; ++piece) {
    EXPECT_EQ(capped(10, "0123456789", piece), "0123456789");
    EXPECT_EQ(capped(10, "", piece), "");
  }
}

TEST(CappedOutput, CutsTheMiddleOutHoweverItArrives) {
  for (std::size_t piece = 1; piece <= 30; ++piece) {
    EXPECT_EQ(capped(10, "abcdefghijklmnopqrstuvwxyz", piece),
              "abcde\n[16 bytes are left out here]\nvwxyz");
  }
}

}  // namespace
}  // namespace attnlab::process
