// The limits that the attnlab operators share, as a Support answer with a reason.
#pragma once

#include "variants/api/problem.h"

namespace attnlab {

/// head_dim and head_dim_v from 1 to 256, a device that has a backend, a direction that is built.
Support operator_support(const Problem& problem);

}  // namespace attnlab
