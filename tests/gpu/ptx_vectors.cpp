#include "tests/gpu/ptx_vectors.h"

#include <bit>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>

namespace attnlab::testing {
namespace {

constexpr std::size_t kDigits = 8;
// Of sums whose terms a device may cut at 2^-23 of the largest, which is below 64.
constexpr float kSumTolerance = 1e-4f;

std::string hexadecimal(const std::vector<std::uint32_t>& words) {
  constexpr char kDigitNames[] = "0123456789abcdef";
  std::string text;
  text.reserve(kDigits * words.size());
  for (const std::uint32_t word : words) {
    for (int shift = 28; shift >= 0; shift -= 4) text += kDigitNames[word >> shift & 15u];
  }
  return text;
}

std::vector<std::uint32_t> words_of(const std::string& text) {
  std::vector<std::uint32_t> words;
  for (std::size_t i = 0; i < text.size(); i += kDigits) {
    words.push_back(static_cast<std::uint32_t>(std::stoul(text.substr(i, kDigits), nullptr, 16)));
  }
  return words;
}

bool halves_agree(std::uint32_t a, std::uint32_t b, bool bf16) {
  const std::uint32_t infinity = bf16 ? 0x7f80u : 0x7c00u;
  const auto is_nan = [&](std::uint32_t half) { return (half & 0x7fffu) > infinity; };
  const auto agree = [&](std::uint32_t x, std::uint32_t y) {
    return x == y || (is_nan(x) && is_nan(y));
  };
  return agree(a & 0xffffu, b & 0xffffu) && agree(a >> 16, b >> 16);
}

bool within_two_ulps(std::uint32_t a, std::uint32_t b) {
  if (a == b) return true;
  const float x = std::bit_cast<float>(a);
  const float y = std::bit_cast<float>(b);
  if (std::isnan(x) || std::isnan(y)) return std::isnan(x) && std::isnan(y);
  if (std::signbit(x) != std::signbit(y)) return x == y;
  return std::isfinite(x) && std::isfinite(y) && (a > b ? a - b : b - a) <= 2;
}

bool agree(const PtxVector& vector, std::uint32_t a, std::uint32_t b) {
  switch (vector.agreement) {
    case Agreement::kExact: return a == b;
    case Agreement::kHalves: return halves_agree(a, b, vector.name.ends_with("bf16"));
    case Agreement::kTwoUlps: return within_two_ulps(a, b);
    case Agreement::kSums:
      return std::abs(std::bit_cast<float>(a) - std::bit_cast<float>(b)) <= kSumTolerance;
  }
  return false;
}

}  // namespace

void write_ptx_vectors(const std::filesystem::path& path, const std::string& device,
                       const std::vector<PtxVector>& vectors) {
  nlohmann::json file = {{"device", device}, {"vectors", nlohmann::json::array()}};
  for (const PtxVector& vector : vectors) {
    file["vectors"].push_back({{"name", vector.name},
                               {"inputs", hexadecimal(vector.inputs)},
                               {"outputs", hexadecimal(vector.outputs)}});
  }
  std::ofstream out(path);
  out << file.dump(1) << "\n";
  if (!out.flush()) throw std::runtime_error("cannot write " + path.string());
}

std::vector<PtxVector> read_ptx_vectors(const std::filesystem::path& path) {
  std::ifstream in(path);
  if (!in) throw std::runtime_error("cannot read " + path.string());
  const auto file = nlohmann::json::parse(in);
  std::vector<PtxVector> vectors;
  for (const auto& entry : file.at("vectors")) {
    vectors.push_back({.name = entry.at("name"),
                       .inputs = words_of(entry.at("inputs")),
                       .outputs = words_of(entry.at("outputs"))});
  }
  return vectors;
}

std::string difference(const PtxVector& expected, const PtxVector& found) {
  if (expected.name != found.name) return expected.name + " against " + found.name;
  if (expected.inputs != found.inputs) return found.name + ": recorded with other inputs";
  if (expected.outputs.size() != found.outputs.size()) return found.name + ": other outputs";
  for (std::size_t i = 0; i < found.outputs.size(); ++i) {
    if (agree(found, expected.outputs[i], found.outputs[i])) continue;
    return found.name + "[" + std::to_string(i) + "]: " + hexadecimal({expected.outputs[i]}) +
           " expected, " + hexadecimal({found.outputs[i]}) + " found";
  }
  return "";
}

}  // namespace attnlab::testing
