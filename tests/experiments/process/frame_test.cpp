#include "experiments/process/frame.h"

#include <gtest/gtest.h>

namespace attnlab::process {
namespace {

TEST(Frame, ComesBackAsItWas) {
  for (const std::string& payload :
       {std::string(), std::string("{}"), std::string("\0\n\xff", 3), std::string(100000, 'x')}) {
    const DecodedFrame decoded = decode_frame(encode_frame(payload));
    EXPECT_TRUE(decoded.ok) << decoded.problem;
    EXPECT_EQ(decoded.payload, payload);
  }
}

TEST(Frame, NothingIsNoMessage) { EXPECT_EQ(decode_frame("").problem, "nothing"); }

TEST(Frame, EveryCutIsFound) {
  const std::string bytes = encode_frame("a row of results");
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(decode_frame(std::string_view(bytes).substr(0, size)).ok) << size;
  }
  EXPECT_FALSE(decode_frame(bytes + "x").ok);
}

TEST(Frame, EveryFlippedBitIsFound) {
  const std::string bytes = encode_frame("a row of results");
  for (std::size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
    std::string damaged = bytes;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
    EXPECT_FALSE(decode_frame(damaged).ok) << bit;
  }
}

}  // namespace
}  // namespace attnlab::process
