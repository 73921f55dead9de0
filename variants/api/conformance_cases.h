// The problems on which every variant is checked, and the data for them.
#pragma once

#include <string>
#include <vector>

#include "variants/api/variant.h"

namespace attnlab {

/// Small problems that break kernels: length 1, primes, tile borders, seqlen_q != seqlen_k, rows
/// without keys, GQA, odd and unequal head dims, each dtype.
std::vector<Problem> conformance_problems();

/// Seeded N(0, 1) data for a problem, and what the variant declares (make_declared_tensors).
Inputs conformance_inputs(const Variant& variant, const Problem& problem, std::uint64_t seed,
                          bool with_optional = false);

/// One line that names a case: "b2 h4/2 q17 k80 d24/40 causal bfloat16".
std::string case_name(const Problem& problem);

}  // namespace attnlab
