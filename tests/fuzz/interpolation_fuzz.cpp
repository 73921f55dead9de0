// Interpolations in a small tree: they resolve or are refused, the same way each time.
#include "experiments/config/emit_yaml.h"
#include "experiments/config/interpolation.h"
#include "experiments/config/load_yaml.h"
#include "kernels/core/error.h"
#include "tests/fuzz/property.h"

using namespace attnlab;

namespace {

/// The tree around the text of the fuzzer, which stands in it twice and is split at its first NUL.
config::Tree tree_with(const std::string& first, const std::string& second) {
  const config::Tree known =
      config::parse_yaml("a: 1\nb: {c: x, d: [1, 2.5, null]}\ns: two words\nm: ???\n", "fuzz");
  const config::Tree inner = config::Tree::of_map(
      {{"here", config::Tree::of_string(second)}, {"beside", config::Tree::of_int(3)}});
  return known.with("first", config::Tree::of_string(first)).with("inner", inner);
}

std::string outcome(const config::Tree& tree) {
  try {
    return config::emit_yaml(config::resolve_interpolations(tree));
  } catch (const ConfigError& error) {
    return std::string("refused: ") + error.what();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  if (text.find("now") != std::string::npos) return 0;  // the time goes on between two calls
  const std::size_t end = std::min(text.find('\0'), text.size());
  const config::Tree tree =
      tree_with(text.substr(0, end), end < text.size() ? text.substr(end + 1) : std::string());
  const std::string once = outcome(tree);
  fuzz::require(once == outcome(tree), "resolving twice gives the same", once);
  return 0;
}
