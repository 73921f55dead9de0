// YAML text to tree and back: what is read can be written and reads as the same tree.
#include "experiments/config/emit_yaml.h"
#include "experiments/config/load_yaml.h"
#include "kernels/core/error.h"
#include "tests/fuzz/property.h"

using namespace attnlab;

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  config::Tree tree;
  try {
    tree = config::parse_yaml(text, "fuzz.yaml");
  } catch (const ConfigError&) {
    return 0;
  }
  const std::string written = config::emit_yaml(tree);
  try {
    fuzz::require(config::parse_yaml(written, "written.yaml") == tree, "read(write(tree)) == tree",
                  written);
  } catch (const ConfigError& error) {
    fuzz::require(false, "what is written can be read", std::string(error.what()) + "\n" + written);
  }
  return 0;
}
