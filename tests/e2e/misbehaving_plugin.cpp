// A variant that goes wrong in the way that its option `how` names.
#include <ATen/ops/empty.h>
#include <ATen/ops/full_like.h>
#include <signal.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <limits>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>

#include "variants/api/plugin.h"

namespace {

void hold_memory() {
  // Beside the tensors, so that no allocator can refuse it.
  constexpr std::size_t kPiece = std::size_t{64} << 20;
  for (int i = 0; i < 1000; ++i) {
    std::memset(std::malloc(kPiece), 1, kPiece);
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

void write_gibibyte() {
  const std::string megabyte(std::size_t{1} << 20, 'x');
  for (int i = 0; i < 1024; ++i) std::fwrite(megabyte.data(), 1, megabyte.size(), stdout);
}

void close_descriptors() {
  for (int fd = 0; fd < 64; ++fd) ::close(fd);
}

/// A program that nobody ends; the process that runs the trials is in its words.
void start_sleep() {
  const std::string seconds = "3599." + std::to_string(::getppid());
  if (::fork() == 0) ::execl("/bin/sleep", "sleep", seconds.c_str(), nullptr);
}

class Misbehaving : public attnlab::Variant {
 public:
  explicit Misbehaving(std::string how) : how_(std::move(how)) {}

  attnlab::VariantInfo info() const override {
    return {.name = "misbehaving",
            .summary = "goes wrong as its option says",
            .paper = "",
            .exact = false,
            .time_order = "1",
            .memory_order = "1"};
  }

 protected:
  attnlab::Outputs do_forward(const attnlab::Inputs& inputs) const override {
    if (how_ == "throw") throw std::runtime_error("the bug of the test");
    if (how_ == "terminate") std::terminate();
    if (how_ == "abort") std::abort();
    if (how_ == "segv") ::raise(SIGSEGV);
    if (how_ == "exit7") ::_exit(7);
    if (how_ == "exit0") ::_exit(0);
    if (how_ == "child") start_sleep();
    if (how_ == "hang" || how_ == "child") std::this_thread::sleep_for(std::chrono::hours(1));
    if (how_ == "memory") hold_memory();
    if (how_ == "output") write_gibibyte();
    if (how_ == "close") close_descriptors();
    if (how_ == "shape") return {.out = at::empty({1, 2, 3}), .lse = {}, .weights = {}};
    if (how_ == "not_a_number") {
      return {.out = at::full_like(inputs.q, std::numeric_limits<double>::quiet_NaN()),
              .lse = {},
              .weights = {}};
    }
    return {.out = at::full_like(inputs.q, 0.0), .lse = {}, .weights = {}};
  }

 private:
  std::string how_;
};

}  // namespace

ATTNLAB_PLUGIN(misbehaving_plugin, registry) {
  registry.add({.name = "misbehaving",
                .option_specs = {{"how", std::string("throw"), "what goes wrong"}},
                .factory =
                    [](const attnlab::Options& options) {
                      return std::make_unique<Misbehaving>(options.get_string("how"));
                    },
                .origin = "misbehaving_plugin"});
}
