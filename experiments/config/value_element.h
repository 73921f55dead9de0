// What one value of an override was written as: more than a tree, because functions tell quoted
// text from words, and lists from sweeps.
#pragma once

#include <string>
#include <vector>

#include "experiments/config/tree.h"

namespace attnlab::config {

struct Element {
  enum class Kind {
    kScalar,      ///< null, bool, int, float, or text without quotes
    kQuoted,      ///< text in quotes
    kList,        ///< items
    kDict,        ///< keys and items
    kChoice,      ///< a sweep over items
    kRange,       ///< a sweep; items are start, stop, step
    kGlob,        ///< a sweep over a group's options; items: lists of patterns, wanted and unwanted
    kExtendList,  ///< items to append to the list that is there
  };
  Kind kind = Kind::kScalar;
  Tree scalar;
  std::vector<Element> items;
  std::vector<std::string> keys;  ///< kDict: of the items, in order
  bool simple = false;            ///< kChoice: "a,b" or a function of several values
  bool shuffled = false;          ///< kChoice, kRange

  static Element of(Tree tree) { return {Kind::kScalar, std::move(tree), {}, {}, false, false}; }
  static Element quoted(std::string text) {
    return {Kind::kQuoted, Tree::of_string(std::move(text)), {}, {}, false, false};
  }
  static Element of_items(Kind kind, std::vector<Element> items) {
    return {kind, Tree(), std::move(items), {}, false, false};
  }

  bool is_text() const {
    return kind == Kind::kQuoted || (kind == Kind::kScalar && scalar.is_string());
  }
  bool is_sweep() const {
    return kind == Kind::kChoice || kind == Kind::kRange || kind == Kind::kGlob;
  }
};

}  // namespace attnlab::config
