// The configuration of AMX tiles, for code that may run on threads of other libraries.
#pragma once

#if defined(__AMX_TILE__)
#include <immintrin.h>
#endif

#include <cstdint>

namespace attnlab::cpu::ATTNLAB_ISA_NAMESPACE {

#if defined(__AMX_TILE__)

/// While this lives, all eight tiles have 16 rows of 64 bytes; whatever the thread had loaded
/// before (other libraries keep theirs loaded) is back when this object goes.
class TileConfig {
 public:
  TileConfig() {
    _tile_storeconfig(&before_);
    Config ours{};
    ours.palette = 1;
    for (int i = 0; i < 8; ++i) {
      ours.column_bytes[i] = 64;
      ours.rows[i] = 16;
    }
    // g++'s intrinsic names only the first 8 bytes as what it reads: g++ would drop the writes to
    // the rest.
    asm volatile("" : : "r"(&ours) : "memory");
    _tile_loadconfig(&ours);
  }
  ~TileConfig() {
    if (before_.palette != 0) {
      _tile_loadconfig(&before_);
    } else {
      _tile_release();
    }
  }
  TileConfig(const TileConfig&) = delete;
  TileConfig& operator=(const TileConfig&) = delete;

 private:
  struct alignas(64) Config {
    std::uint8_t palette, start_row, reserved[14];
    std::uint16_t column_bytes[16];
    std::uint8_t rows[16];
  };
  Config before_;
};

#else

/// Nothing to configure.
struct TileConfig {
  TileConfig() {}
};

#endif

}  // namespace attnlab::cpu::ATTNLAB_ISA_NAMESPACE
