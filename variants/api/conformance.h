// Properties that every variant must have, checked on any Variant: built-in or from a plugin.
// Used by the tests over the whole registry and by `attnlab check`.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "variants/api/registry.h"

namespace attnlab {

struct PropertyResult {
  std::string property;  ///< e.g. "batch_items_are_independent"
  std::string problem;   ///< the case it was checked on
  bool passed = true;
  std::string detail;    ///< first wrong index and both values, or the reason of a skip
  bool skipped = false;  ///< the variant says that it does not support the case
};

/// Checks the variant `name` with `options` over the built-in case list (length 1, primes, cross
/// lengths, GQA, strided views, each dtype) on `device` and returns one result per property and
/// case.
std::vector<PropertyResult> check_conformance(
    const Registry& registry, const std::string& name,
    const std::map<std::string, OptionValue>& options = {}, at::DeviceType device = at::kCPU);

}  // namespace attnlab
