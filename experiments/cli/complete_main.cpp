// `attnlab_complete WORDS...`: what the scripts of `attnlab completion` ask at every Tab. Prints a
// word a line, or ":files", ":folders". A program of its own, since a Tab should not load Torch.
#include <exception>

#include "experiments/cli/completion.h"
#include "experiments/cli/output.h"

int main(int argc, char** argv) {
  using namespace attnlab::cli;
  try {
    prepare_standard_streams();
    write_stdout(answer_text(complete({argv + 1, argv + argc})));
  } catch (const std::exception&) {
    return 1;  // A message would be printed into the line that is being typed.
  }
  return 0;
}
