#include "experiments/process/frame.h"

#include <fmt/format.h>

#include <boost/crc.hpp>
#include <cstdint>
#include <cstring>

namespace attnlab::process {
namespace {

struct Header {
  char magic[4];
  std::uint32_t checksum;
  std::uint64_t length;
};

constexpr char kMagic[4] = {'a', 't', 'l', '1'};

std::uint32_t checksum(std::string_view bytes) {
  boost::crc_32_type crc;
  crc.process_bytes(bytes.data(), bytes.size());
  return crc.checksum();
}

}  // namespace

std::string encode_frame(std::string_view payload) {
  Header header{{}, checksum(payload), payload.size()};
  std::memcpy(header.magic, kMagic, sizeof kMagic);
  std::string bytes(sizeof header, '\0');
  std::memcpy(bytes.data(), &header, sizeof header);
  return bytes.append(payload);
}

DecodedFrame decode_frame(std::string_view bytes) {
  const auto wrong = [](std::string problem) {
    return DecodedFrame{.ok = false, .payload = {}, .problem = std::move(problem)};
  };
  if (bytes.empty()) return wrong("nothing");
  Header header{};
  if (bytes.size() < sizeof header) return wrong(fmt::format("{} bytes", bytes.size()));
  std::memcpy(&header, bytes.data(), sizeof header);
  if (std::memcmp(header.magic, kMagic, sizeof kMagic) != 0) {
    return wrong("damaged: it does not begin as a message");
  }
  const std::string_view payload = bytes.substr(sizeof header);
  if (payload.size() < header.length) {
    return wrong(fmt::format("{} of {} bytes", payload.size(), header.length));
  }
  if (payload.size() > header.length) {
    return wrong(fmt::format("damaged: {} bytes too many", payload.size() - header.length));
  }
  if (checksum(payload) != header.checksum) return wrong("damaged: its checksum is wrong");
  return {.ok = true, .payload = std::string(payload), .problem = {}};
}

}  // namespace attnlab::process
