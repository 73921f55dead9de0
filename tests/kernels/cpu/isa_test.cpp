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
  const char* kernel = cpu::kernel_table(isa, DType::kBFloat16).flash_name;
  EXPECT_NE(std::strstr(kernel, cpu::isa_name(isa)), nullptr);
}

TEST(Isa, OverrideChangesTheKernel) {
  for (const cpu::Isa isa : cpu::available_isas()) {
    cpu::override_isa_for_testing(isa);
    const AttentionShape shape = make_shape(1, 1, 1, 8, 8, 8, 8, DType::kBFloat16);
    EXPECT_EQ(cpu::plan_flash_attention(shape, 1).kernel_name,
              std::string("flash_attention_cpu_") + cpu::isa_name(isa));
  }
}

TEST(Isa, SetsAboveAvx512DifferForBfloat16Only) {
  for (const DType dtype : {DType::kFloat32, DType::kFloat64, DType::kFloat16}) {
    for (const cpu::Isa isa : {cpu::Isa::kAvx512Bf16, cpu::Isa::kAvx512Amx}) {
      EXPECT_STREQ(cpu::kernel_table(isa, dtype).flash_name, "flash_attention_cpu_avx512");
    }
  }
}

TEST(Isa, SetsAgreeWithinRounding) {
  AttentionCase c(make_shape(1, 2, 1, 90, 130, 24, 24), {true});
  cpu::override_isa_for_testing(cpu::Isa::kPortable);
  c.run_forward();
  const auto expected = c.out.values();
  for (const cpu::Isa isa : cpu::available_isas()) {
    cpu::override_isa_for_testing(isa);
    c.run_forward();
    EXPECT_TRUE(all_close(c.out.values(), expected,
                          tolerance(DType::kFloat32, magnitude_of(expected), 130)))
        << cpu::isa_name(isa);
  }
}

}  // namespace
}  // namespace attnlab::testing
