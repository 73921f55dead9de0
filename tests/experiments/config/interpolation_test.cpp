#include "experiments/config/interpolation.h"

#include <cstdlib>

#include "tests/experiments/config/support.h"

namespace attnlab::config {
namespace {

Tree resolved(const std::string& text) { return resolve_interpolations(yaml(text)); }
std::string error_of(const std::string& text) {
  return message_of([&] { resolved(text); });
}

TEST(InterpolationTest, WholeValuesKeepTheirType) {
  EXPECT_EQ(resolved("{a: {b: 5}, c: '${a.b}', d: '${a}', e: [1, '${a.b}']}"),
            yaml("{a: {b: 5}, c: 5, d: {b: 5}, e: [1, 5]}"));
  EXPECT_EQ(resolved("{l: [x, y], a: '${l.1}', b: '${l[0]}'}"), yaml("{l: [x, y], a: y, b: x}"));
}

TEST(InterpolationTest, InsideTextValuesReadAsPythonPrintsThem) {
  EXPECT_EQ(resolved("{t: true, n: null, f: 1e-5, l: [1, a], s: '${t} ${n} ${f} ${l}'}")
                .find("s")
                ->as_string(),
            "True None 1e-05 [1, 'a']");
}

TEST(InterpolationTest, RelativeNestedAndChained) {
  EXPECT_EQ(resolved("{a: {b: 1, c: '${.b}', d: {e: '${..b}'}}}"),
            yaml("{a: {b: 1, c: 1, d: {e: 1}}}"));
  EXPECT_EQ(resolved("{which: x, m: {x: 7}, v: '${m.${which}}'}"),
            yaml("{which: x, m: {x: 7}, v: 7}"));
  EXPECT_EQ(resolved("{a: '${b}', b: '${c}', c: 3}"), yaml("{a: 3, b: 3, c: 3}"));
  EXPECT_EQ(resolved("{a: '${m}', m: {x: 4}, b: '${a.x}'}").find("b")->as_int(), 4);
}

TEST(InterpolationTest, Escapes) {
  EXPECT_EQ(resolved("{a: '\\${b}', b: 1}").find("a")->as_string(), "${b}");
  EXPECT_EQ(resolved("{a: '\\\\${b}', b: 1}").find("a")->as_string(), "\\1");
  EXPECT_EQ(resolved("{a: 'x\\y'}").find("a")->as_string(), "x\\y");
}

TEST(InterpolationTest, Environment) {
  ::setenv("ATTNLAB_TEST_VARIABLE", "12", 1);
  ::unsetenv("ATTNLAB_TEST_UNSET");
  EXPECT_EQ(resolved("a: ${oc.env:ATTNLAB_TEST_VARIABLE}").find("a")->as_string(), "12");
  EXPECT_EQ(resolved("a: '${oc.env:ATTNLAB_TEST_UNSET,-1}'").find("a")->as_string(), "-1");
  EXPECT_TRUE(resolved("a: '${oc.env:ATTNLAB_TEST_UNSET, null}'").find("a")->is_null());
  EXPECT_EQ(
      error_of("a: ${oc.env:ATTNLAB_TEST_UNSET}"),
      "[config] t.yaml:1:4: the environment variable 'ATTNLAB_TEST_UNSET' is not set; set it, or "
      "give a default: ${oc.env:ATTNLAB_TEST_UNSET,default}");
}

TEST(InterpolationTest, Errors) {
  EXPECT_EQ(
      error_of("{shape: {seqlen: 1}, b: '${shape.seqln}'}"),
      "[config] t.yaml:1:25: '${shape.seqln}' refers to 'shape.seqln', which does not exist. Did "
      "you mean 'shape.seqlen'?");
  EXPECT_EQ(error_of("{a: '${b}', b: '\?\?\?'}"),
            "[config] t.yaml:1:5: '${b}' refers to 'b', which has no value yet (\?\?\?, at "
            "t.yaml:1:16); set it");
  EXPECT_EQ(error_of("a: '${....x}'"),
            "[config] t.yaml:1:4: '${....x}' goes above the top of the config");
  EXPECT_EQ(error_of("a: '${oc.enw:X}'"),
            "[config] t.yaml:1:4: unknown resolver 'oc.enw'. Did you mean 'oc.env'? Known: now, "
            "oc.create, oc.decode, oc.deprecated, oc.dict.keys, oc.dict.values, oc.env, oc.select");
  EXPECT_EQ(error_of("a: 'x${b'"), "[config] t.yaml:1:4: the closing '}' of '${b' is missing");
}

TEST(InterpolationTest, Cycles) {
  EXPECT_EQ(error_of("{a: '${b}', b: '${c}', c: '${a}'}"),
            "[config] t.yaml:1:5: the interpolation refers to itself: a -> b -> c -> a");
  EXPECT_NE(error_of("a: '${a}'").find("refers to itself"), std::string::npos);
  EXPECT_NE(error_of("a: {x: '${a}'}").find("refers to itself"), std::string::npos);
  EXPECT_NE(error_of("{a: '${b.x}', b: {x: 1, y: '${a.z}'}, c: '${a.q}'}"), "no error");
}

}  // namespace
}  // namespace attnlab::config
