#include "variants/api/declared_tensors.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/randn.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <sstream>

#include "kernels/core/error.h"
#include "kernels/core/names.h"

namespace attnlab {
namespace {

void check_sizes(const VariantInfo& about, const std::string& name, const std::string& shape,
                 const at::Tensor& tensor, const Problem& problem) {
  const std::vector<std::int64_t> expected = declared_sizes(name, shape, problem);
  if (tensor.defined() && tensor.sizes() == at::IntArrayRef(expected)) return;
  throw UnsupportedError(fmt::format(
      "[variant {}] '{}' has the shape {}, but {} is [{}] here.", about.name, name,
      tensor.defined() ? fmt::format("[{}]", fmt::join(tensor.sizes(), ", ")) : "of no tensor",
      shape, fmt::join(expected, ", ")));
}

void check_one(const VariantInfo& about, const std::string& what, const std::string& name,
               const std::string& shape, const std::string& help, bool optional,
               const std::map<std::string, at::Tensor>& given, const Problem& problem) {
  const auto found = given.find(name);
  if (found != given.end()) return check_sizes(about, name, shape, found->second, problem);
  if (optional) return;
  throw UnsupportedError(fmt::format("[variant {}] the {} '{}' {} is missing: {}.", about.name,
                                     what, name, shape, help));
}

std::int64_t product(const std::vector<std::int64_t>& sizes) {
  return std::accumulate(sizes.begin(), sizes.end(), std::int64_t{1}, std::multiplies<>());
}

}  // namespace

std::vector<std::int64_t> declared_sizes(const std::string& name, const std::string& shape,
                                         const Problem& p) {
  const std::map<std::string, std::int64_t> sizes = {
      {"batch", p.batch},          {"heads", p.heads},       {"kv_heads", p.kv_heads},
      {"seqlen_q", p.seqlen_q},    {"seqlen_k", p.seqlen_k}, {"head_dim", p.head_dim},
      {"head_dim_v", p.head_dim_v}};
  std::string names = shape;
  for (char& c : names) {
    if (c == '[' || c == ']' || c == ',') c = ' ';
  }
  std::istringstream words(names);
  std::vector<std::int64_t> result;
  for (std::string word; words >> word;) {
    const auto found = sizes.find(word);
    if (found == sizes.end()) {
      throw Error(
          fmt::format("[variant] '{}' is declared with the shape {}; '{}' is no dimension "
                      "of a problem.",
                      name, shape, word));
    }
    result.push_back(found->second);
  }
  return result;
}

void check_declared_tensors(const VariantInfo& about,
                            const std::map<std::string, at::Tensor>& given,
                            const Problem& problem) {
  std::vector<std::string> known;
  for (const ExtraInput& e : about.extra_inputs) {
    known.push_back(e.name);
    check_one(about, "extra input", e.name, e.shape, e.help, e.optional, given, problem);
  }
  for (const LearnedParameter& p : about.parameters) {
    known.push_back(p.name);
    check_one(about, "parameter", p.name, p.shape, p.help, false, given, problem);
  }
  for (const auto& [name, tensor] : given) {
    if (std::ranges::find(known, name) != known.end()) continue;
    throw UnsupportedError(fmt::format("[variant {}] takes no extra input '{}'. It declares: {}.{}",
                                       about.name, name, known.empty() ? "none" : join_names(known),
                                       did_you_mean(name, known)));
  }
}

std::map<std::string, at::Tensor> make_declared_tensors(const VariantInfo& about,
                                                        const Problem& problem,
                                                        at::Generator& generator,
                                                        bool with_optional) {
  const auto options = at::TensorOptions().dtype(at::kFloat);
  std::map<std::string, at::Tensor> made;
  for (const ExtraInput& e : about.extra_inputs) {
    if (e.optional && !with_optional) continue;
    made[e.name] =
        at::rand(declared_sizes(e.name, e.shape, problem), generator, options).to(problem.device);
  }
  for (const LearnedParameter& p : about.parameters) {
    const std::vector<std::int64_t> sizes = declared_sizes(p.name, p.shape, problem);
    const double deviation = 1.0 / std::sqrt(static_cast<double>(sizes.back()));
    made[p.name] =
        (at::randn(sizes, generator, options) * deviation).to(problem.device, problem.dtype);
  }
  return made;
}

std::int64_t declared_bytes(const VariantInfo& about, const Problem& problem) {
  std::int64_t bytes = 0;
  for (const ExtraInput& e : about.extra_inputs) {
    if (!e.optional) bytes += 4 * product(declared_sizes(e.name, e.shape, problem));
  }
  for (const LearnedParameter& p : about.parameters) {
    bytes += static_cast<std::int64_t>(c10::elementSize(problem.dtype)) *
             product(declared_sizes(p.name, p.shape, problem));
  }
  return bytes;
}

}  // namespace attnlab
