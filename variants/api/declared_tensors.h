// Tensors that a variant declares beyond q, k, v (extra inputs and learned parameters): their
// sizes, whether they were given, and random ones for tests and measurements.
#pragma once

#include <ATen/core/Generator.h>

#include <map>
#include <string>
#include <vector>

#include "variants/api/variant.h"

namespace attnlab {

/// The sizes that a declared shape has in a problem: "[heads, head_dim]" of 4 heads of 64 is {4,
/// 64}. Throws Error for a word that is no dimension of a problem; `name` is for the message.
std::vector<std::int64_t> declared_sizes(const std::string& name, const std::string& shape,
                                         const Problem& problem);

/// Throws UnsupportedError where a required tensor is missing, where one has other sizes than
/// declared, and for one that `about` does not declare: nothing given is ever ignored.
void check_declared_tensors(const VariantInfo& about,
                            const std::map<std::string, at::Tensor>& given, const Problem& problem);

/// What `about` requires, on the problem's device: extra inputs uniform in [0, 1) in float32,
/// learned parameters N(0, 1 / size of the last dimension) in the problem's dtype (drawn in
/// float32). Optional extra inputs are among them if `with_optional`.
std::map<std::string, at::Tensor> make_declared_tensors(const VariantInfo& about,
                                                        const Problem& problem,
                                                        at::Generator& generator,
                                                        bool with_optional = false);

/// Bytes of the required ones.
std::int64_t declared_bytes(const VariantInfo& about, const Problem& problem);

}  // namespace attnlab
