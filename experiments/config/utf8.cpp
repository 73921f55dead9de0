#include "experiments/config/utf8.h"

namespace attnlab::config {

std::size_t utf8_length(const std::string& text, std::size_t i) {
  const auto byte = [&](std::size_t k) {
    return i + k < text.size() ? static_cast<unsigned char>(text[i + k]) : 0u;
  };
  const unsigned first = byte(0);
  if (first < 0x80) return 1;
  const std::size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4) return 0;
  for (std::size_t k = 1; k < length; ++k) {
    if ((byte(k) & 0xC0) != 0x80) return 0;
  }
  if (first == 0xE0 && byte(1) < 0xA0) return 0;
  if (first == 0xED && byte(1) > 0x9F) return 0;
  if (first == 0xF0 && byte(1) < 0x90) return 0;
  if (first == 0xF4 && byte(1) > 0x8F) return 0;
  return length;
}

std::string complete_latin1(const std::string& text) {
  std::string complete;
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t length = utf8_length(text, i);
    if (length > 0) {
      complete.append(text, i, length);
      i += length;
    } else {
      const auto byte = static_cast<unsigned char>(text[i++]);
      complete += static_cast<char>(0xC0 | (byte >> 6));
      complete += static_cast<char>(0x80 | (byte & 0x3F));
    }
  }
  return complete;
}

}  // namespace attnlab::config
