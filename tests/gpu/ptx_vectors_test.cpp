// The host execution model against what a GPU computed (tests/data/ptx_vectors.json, written by
// ptx_vectors on a GPU and never by the emulator), and the comparison itself.
#include "tests/gpu/ptx_vectors.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <map>

#include "hostexec/scheduler.h"

namespace attnlab::testing {
namespace {

constexpr int kHopper = 90;

std::map<std::string, PtxVector> collected() {
  std::map<std::string, PtxVector> by_name;
  for (PtxVector& vector : collect_ptx_vectors(kHopper)) {
    const std::string name = vector.name;
    EXPECT_TRUE(by_name.emplace(name, std::move(vector)).second) << name << " twice";
  }
  return by_name;
}

TEST(PtxVectorsTest, AgreesWithAGpu) {
  const std::filesystem::path path = "tests/data/ptx_vectors.json";
  if (!std::filesystem::exists(path)) {
    GTEST_SKIP() << "no GPU has been asked yet: there is no " << path
                 << ". On a machine with one, tests/gpu/run.sh writes ptx_vectors.json.";
  }
  const auto found = collected();
  for (const PtxVector& expected : read_ptx_vectors(path)) {
    const auto entry = found.find(expected.name);
    ASSERT_NE(entry, found.end()) << expected.name;
    EXPECT_EQ(difference(expected, entry->second), "");
  }
}

TEST(PtxVectorsTest, DoNotDependOnTheSchedule) {
  const auto first = collected();
  hostexec::set_schedule({hostexec::Order::kRandom, hostexec::Completion::kRandom, 5});
  const auto second = collected();
  hostexec::set_schedule({});
  EXPECT_EQ(first.size(), second.size());
  for (const auto& [name, vector] : first) EXPECT_EQ(difference(vector, second.at(name)), "");
}

TEST(PtxVectorsTest, EveryOutputBitCounts) {
  for (const auto& [name, vector] : collected()) {
    EXPECT_EQ(difference(vector, vector), "");
    PtxVector changed = vector;
    // The sign, of any of the forms, of the last output.
    changed.outputs.back() ^= 0x80000000u;
    const bool zero = (vector.outputs.back() & 0x7fffffffu) == 0;
    if (!zero) {
      EXPECT_NE(difference(vector, changed), "") << name;
    }
    changed = vector;
    changed.inputs.push_back(0);
    EXPECT_NE(difference(vector, changed), "") << name;
  }
}

TEST(PtxVectorsTest, SurviveTheirFile) {
  const std::filesystem::path path =
      std::filesystem::path(::testing::TempDir()) / "ptx_vectors_test.json";
  const auto vectors = collect_ptx_vectors(80);
  write_ptx_vectors(path, "a test", vectors);
  const auto read = read_ptx_vectors(path);
  ASSERT_EQ(read.size(), vectors.size());
  for (std::size_t i = 0; i < read.size(); ++i) EXPECT_EQ(difference(read[i], vectors[i]), "");
  EXPECT_THROW(read_ptx_vectors("no/such/file.json"), std::runtime_error);
}

TEST(PtxVectorsTest, ComparesByTheFormOfTheOutputs) {
  const auto with = [](Agreement agreement, std::uint32_t word) {
    return PtxVector{"x_bf16", agreement, {}, {word}};
  };
  const auto agree = [&](Agreement form, std::uint32_t a, std::uint32_t b) {
    return difference(with(form, a), with(form, b)).empty();
  };
  EXPECT_FALSE(agree(Agreement::kExact, 0x3f800000u, 0x3f800001u));
  EXPECT_TRUE(agree(Agreement::kTwoUlps, 0x3f800000u, 0x3f800002u));
  EXPECT_FALSE(agree(Agreement::kTwoUlps, 0x3f800000u, 0x3f800003u));
  EXPECT_FALSE(agree(Agreement::kTwoUlps, 0x7f7fffffu, 0x7f800000u));
  EXPECT_TRUE(agree(Agreement::kTwoUlps, 0x7fc00000u, 0xffc00001u));
  EXPECT_FALSE(agree(Agreement::kTwoUlps, 0x7fc00000u, 0x7f800000u));
  EXPECT_TRUE(agree(Agreement::kHalves, 0x7fc03f80u, 0x7fff3f80u));
  EXPECT_FALSE(agree(Agreement::kHalves, 0x7fc03f80u, 0x7fff3f81u));
  EXPECT_FALSE(agree(Agreement::kHalves, 0x7f800000u, 0x7fff0000u));
  EXPECT_TRUE(agree(Agreement::kSums, 0x42000000u, 0x42000001u));
  EXPECT_FALSE(agree(Agreement::kSums, 0x42000000u, 0x42000100u));
}

// What can be computed by hand, so that there is a check before any GPU has been asked.
TEST(PtxVectorsTest, KnownFacts) {
  const auto vectors = collected();
  const auto& exp2 = vectors.at("exp2_approx");
  for (std::size_t i = 0; i < exp2.inputs.size(); ++i) {
    const float x = std::bit_cast<float>(exp2.inputs[i]);
    float exact = static_cast<float>(std::exp2(static_cast<double>(x)));
    if (exact < 0x1p-126f) exact = 0.0f;
    EXPECT_EQ(difference({exp2.name, exp2.agreement, {}, {std::bit_cast<std::uint32_t>(exact)}},
                         {exp2.name, exp2.agreement, {}, {exp2.outputs[i]}}),
              "")
        << x;
  }
  const auto& shuffled = vectors.at("exchange_floats");
  for (std::size_t lane = 0; lane < 32; ++lane) {
    EXPECT_EQ(shuffled.outputs[lane], shuffled.inputs[lane ^ 1]);
    EXPECT_EQ(shuffled.outputs[4 * 32 + lane], shuffled.inputs[lane ^ 16]);
    EXPECT_EQ(shuffled.outputs[5 * 32 + lane], shuffled.inputs[11]);
    EXPECT_EQ(shuffled.outputs[8 * 32 + lane], shuffled.inputs[lane < 5 ? lane : lane - 5]);
    EXPECT_EQ(shuffled.outputs[10 * 32 + lane], shuffled.inputs[lane < 16 ? lane + 16 : lane]);
  }
  const auto& copied = vectors.at("copy_async_16");
  for (std::size_t lane = 0; lane < 32; ++lane) {
    EXPECT_EQ(copied.outputs[4 * (31 - lane) + 2],
              lane % 3 == 1 ? 0u : copied.inputs[4 * lane + 2]);
  }
  // Tiles without swizzle are rows; those before and behind the tensor are zeros.
  const auto& plain = vectors.at("load_tiles_plain");
  EXPECT_EQ(plain.outputs[0], plain.inputs[(80 + 24) * 32]);
  EXPECT_EQ(plain.outputs[56 * 32], 0u);
  EXPECT_EQ(plain.outputs[64 * 32 + 7 * 32], 0u);
  EXPECT_EQ(plain.outputs[64 * 32 + 8 * 32 + 5], plain.inputs[80 * 32 + 5]);
  // Row 1 of a tile with 128-byte rows has its first chunk second.
  const auto& swizzled = vectors.at("load_tiles_128");
  EXPECT_EQ(swizzled.outputs[32 + 4], swizzled.inputs[(80 + 25) * 32]);
}

}  // namespace
}  // namespace attnlab::testing
