// A sound manifest whose registration adds no variant.
#include "variants/api/plugin.h"

ATTNLAB_PLUGIN(registers_nothing, registry) { (void)registry; }
