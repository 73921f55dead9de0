// One message over a pipe between two processes of this program, so that a message that was cut or
// damaged is never taken for a whole one.
#pragma once

#include <string>
#include <string_view>

namespace attnlab::process {

/// Magic, length and CRC-32 of `payload`, then `payload`.
std::string encode_frame(std::string_view payload);

/// What came through a pipe until its end: the payload of its one frame, or what is wrong with it.
struct DecodedFrame {
  bool ok = false;
  std::string payload;  ///< where ok
  std::string problem;  ///< where not ok: "nothing", "12 of 40 bytes", "damaged: ..."
};
DecodedFrame decode_frame(std::string_view bytes);

}  // namespace attnlab::process
