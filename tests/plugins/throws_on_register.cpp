// Registration throws half-way: the variant before the exception must not stay.
#include <stdexcept>

#include "variants/api/plugin.h"

ATTNLAB_PLUGIN(throws_on_register, registry) {
  registry.add({.name = "half_registered", .option_specs = {}, .factory = {}, .origin = ""});
  throw std::runtime_error("the weights file is missing");
}
