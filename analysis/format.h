// Numbers for people: three significant digits and a unit.
#pragma once

#include <cstdint>
#include <string>

namespace attnlab::analysis {

/// "850 ns", "12.3 us", "4.31 ms", "1.20 s", "2 min 05 s".
std::string format_time_ms(double milliseconds);

/// "512 B", "34.1 MiB"; binary units.
std::string format_bytes(std::int64_t bytes);

/// "0", "0.0123", "1.23", "4.5e-07": three digits, exponents outside [0.001, 100000).
std::string format_number(double value);

}  // namespace attnlab::analysis
