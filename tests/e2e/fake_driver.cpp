// A libcuda.so.1 that answers two questions as the environment says, and has nothing behind it.
#include <cstdlib>

namespace {

int number(const char* name) {
  const char* text = std::getenv(name);
  return text == nullptr ? 0 : std::atoi(text);
}

}  // namespace

extern "C" {

int cuInit(unsigned) { return number("FAKE_CUINIT"); }

int cuDeviceGetCount(int* count) {
  *count = number("FAKE_GPUS");
  return 0;
}
}
