#include "kernels/cpu/isa.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "kernels/cpu/kernel_table.h"
#include "tests/kernels/cpu/attention_case.h"
#include "tests/support/tolerance.h"

namespace attnlab::testing {
namespace {

TEST(Isa, CurrentIsAvailableAndNamed) {
  const cpu::Isa isa = cpu::current_isa();
  EXPECT_TRUE(cpu::isa_available(isa));
  EXPECT_STREQ(cpu::isa_name(cpu::Isa::kPortable), "portable");
  EXPECT_NE(std::strstr(cpu::kernel_table(isa).flash_name, cpu::isa_name(isa)), nullptr);
}

TEST(Isa, OverrideChangesTheKernel) {
  const AttentionShape shape = make_shape(1, 1, 1, 8, 8, 8, 8);
  for (const cpu::Isa isa : available_isas()) {
    cpu::override_isa_for_testing(isa);
    EXPECT_EQ(cpu::plan_flash_attention(shape, 1).kernel_name,
              std::string("flash_attention_cpu_") + cpu::isa_name(isa));
  }
}

TEST(Isa, SetsAgreeWithinRounding) {
  AttentionCase c(make_shape(1, 2, 1, 90, 130, 24, 24), {true});
  cpu::override_isa_for_testing(cpu::Isa::kPortable);
  c.run_forward();
  const auto expected = c.out.values();
  for (const cpu::Isa isa : available_isas()) {
    cpu::override_isa_for_testing(isa);
    c.run_forward();
    EXPECT_TRUE(all_close(c.out.values(), expected,
                          tolerance(DType::kFloat32, magnitude_of(expected), 130)))
        << cpu::isa_name(isa);
  }
}

}  // namespace
}  // namespace attnlab::testing
