// The resolvers: ${oc.env:...}, oc.select, oc.decode, oc.create, oc.dict.keys and values, now.
#include <gtest/gtest.h>

#include <cstdlib>
#include <ctime>

#include "experiments/config/interpolation.h"
#include "tests/experiments/config/support.h"

namespace attnlab::config {
namespace {

/// What the value of `x` becomes beside the other keys.
Tree resolved(const std::string& x) {
  const Tree root = yaml("a: 1\nk: y\ns: '2.5'\nn: null\nu: '\?\?\?'\nm: {y: 7, z: [p, q]}\n")
                        .with("x", Tree::of_string(x));
  return *resolve_interpolations(root).find("x");
}

std::string refusal(const std::string& x) {
  return message_of([&] { resolved(x); });
}

TEST(ResolversTest, EnvIsTextAndItsDefaultToo) {
  ::setenv("ATTNLAB_TEST_NUMBER", "12", 1);
  ::unsetenv("ATTNLAB_TEST_NONE");
  EXPECT_EQ(resolved("${oc.env:ATTNLAB_TEST_NUMBER}"), Tree::of_string("12"));
  EXPECT_EQ(resolved("${oc.env:ATTNLAB_TEST_NONE,-1}"), Tree::of_string("-1"));
  EXPECT_EQ(resolved("${oc.env:ATTNLAB_TEST_NONE,true}"), Tree::of_string("True"));
  EXPECT_EQ(resolved("${oc.env:ATTNLAB_TEST_NONE,null}"), Tree::null());
  EXPECT_EQ(resolved("${oc.env:ATTNLAB_TEST_NONE,'a, b'}"), Tree::of_string("a, b"));
  EXPECT_EQ(resolved("${oc.env:ATTNLAB_TEST_NONE,${m.${k}}}"), Tree::of_string("7"));
  EXPECT_NE(refusal("${oc.env:ATTNLAB_TEST_NONE}").find("is not set"), std::string::npos);
}

TEST(ResolversTest, DecodeReadsAValue) {
  EXPECT_EQ(resolved("${oc.decode:${s}}"), Tree::of_float(2.5));
  EXPECT_EQ(resolved("${oc.decode:'[1, {a: b}]'}"), yaml("[1, {a: b}]"));
  EXPECT_EQ(resolved("${oc.decode:null}"), Tree::null());
  EXPECT_NE(refusal("${oc.decode:5}").find("takes one text"), std::string::npos);
}

TEST(ResolversTest, SelectGivesItsDefaultForWhatIsNotThere) {
  EXPECT_EQ(resolved("${oc.select:m.y}"), Tree::of_int(7));
  EXPECT_EQ(resolved("${oc.select:nope,3}"), Tree::of_int(3));
  EXPECT_EQ(resolved("${oc.select:nope}"), Tree::null());
  EXPECT_EQ(resolved("${oc.select:u,4}"), Tree::of_int(4));
  EXPECT_EQ(resolved("${oc.select:n,5}"), Tree::null());
}

TEST(ResolversTest, DictsAndCreate) {
  EXPECT_EQ(resolved("${oc.dict.keys:m}"), yaml("[y, z]"));
  EXPECT_EQ(resolved("${oc.dict.values:m}"), yaml("[7, [p, q]]"));
  EXPECT_EQ(resolved("${oc.create:{b: ${a}, c: [x]}}"), yaml("{b: 1, c: [x]}"));
  EXPECT_EQ(resolved("${oc.create:'b: 2'}"), yaml("{b: 2}"));
  EXPECT_NE(refusal("${oc.dict.keys:a}").find("'a' is an int, not a map"), std::string::npos);
  EXPECT_NE(refusal("${oc.create:5}").find("makes lists and maps"), std::string::npos);
}

TEST(ResolversTest, NowIsOneMomentOfTheRun) {
  const Tree first = resolved("${now:%Y-%m-%d_%H-%M-%S}");
  EXPECT_EQ(first.as_string().size(), 19u);
  EXPECT_EQ(resolved("${now:%Y-%m-%d_%H-%M-%S}"), first);
  const std::string seconds = resolved("${now:%s}").as_string();
  EXPECT_LE(std::abs(std::stoll(seconds) - static_cast<long long>(std::time(nullptr))), 3600);
}

TEST(ResolversTest, UnknownNamesTheNearest) {
  EXPECT_NE(refusal("${oc.evn:HOME}").find("Did you mean 'oc.env'?"), std::string::npos);
}

TEST(ResolversTest, BracketsBlanksAndNestedKeys) {
  EXPECT_EQ(resolved("${ m[z][1] }"), Tree::of_string("q"));
  EXPECT_EQ(resolved("<${m}>"), Tree::of_string("<{'y': 7, 'z': ['p', 'q']}>"));
  EXPECT_EQ(resolved("\\${a} \\\\${a}"), Tree::of_string("${a} \\1"));
  EXPECT_NE(refusal("${m.}").find("is no reference"), std::string::npos);
  EXPECT_NE(refusal("${m.${n}}").find("gives null instead of a text"), std::string::npos);
}

}  // namespace
}  // namespace attnlab::config
