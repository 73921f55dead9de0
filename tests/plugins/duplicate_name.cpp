// Registers a new name and one that is taken: neither must be added.
#include "variants/api/plugin.h"

ATTNLAB_PLUGIN(duplicate_name, registry) {
  registry.add({.name = "brand_new", .option_specs = {}, .factory = {}, .origin = ""});
  registry.add({.name = "flash", .option_specs = {}, .factory = {}, .origin = ""});
}
