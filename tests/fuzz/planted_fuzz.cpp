// A fault that a fuzzer with AddressSanitizer must find within seconds: it proves that a run of the
// other targets without a finding means something.
#include <cstddef>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  const std::vector<unsigned char> bytes(data, data + size);
  if (size >= 3 && bytes[0] == '$' && bytes[1] == '{' && bytes[2] == '?') {
    const volatile unsigned char beyond = bytes.data()[size];
    static_cast<void>(beyond);
  }
  return 0;
}
