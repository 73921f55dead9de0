#include "experiments/config/value_functions.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>

#include "experiments/config/casts.h"
#include "kernels/core/error.h"
#include "kernels/core/names.h"

namespace attnlab::config {
namespace {

using Kind = Element::Kind;

[[noreturn]] void fail(const std::string& message) { throw ConfigError(message); }

/// The arguments of one call, told apart by name and place.
class Call {
 public:
  Call(std::string name, std::vector<Argument> arguments) : name_(std::move(name)) {
    for (Argument& argument : arguments) {
      // Quotes are lost here: they only protect the signs in a text.
      if (argument.value.kind == Kind::kQuoted) argument.value.kind = Kind::kScalar;
      if (!argument.name.empty()) {
        named_.insert_or_assign(argument.name, std::move(argument.value));
      } else if (!named_.empty()) {
        fail(fmt::format("{}(): an argument without a name follows one with a name", name_));
      } else {
        unnamed_.push_back(std::move(argument.value));
      }
    }
  }

  const std::string& name() const { return name_; }
  const std::vector<Element>& unnamed() const { return unnamed_; }

  std::optional<Element> take(const std::string& name) {
    const auto found = named_.find(name);
    if (found == named_.end()) return {};
    Element value = std::move(found->second);
    named_.erase(found);
    return value;
  }

  /// The argument at `place`, which may be given by name instead.
  std::optional<Element> take(const std::string& name, std::size_t place) {
    std::optional<Element> named = take(name);
    if (place >= unnamed_.size()) return named;
    if (named) fail(fmt::format("{}() takes '{}' once", name_, name));
    return unnamed_[place];
  }

  void check_all_taken(std::size_t most_unnamed) const {
    if (!named_.empty()) {
      fail(fmt::format("{}() has no argument '{}'", name_, named_.begin()->first));
    }
    if (unnamed_.size() > most_unnamed) {
      fail(fmt::format("{}() takes at most {} arguments, not {}", name_, most_unnamed,
                       unnamed_.size()));
    }
  }

 private:
  std::string name_;
  std::vector<Element> unnamed_;
  std::map<std::string, Element> named_;
};

constexpr std::size_t kAny = kMaxSweepValues;

bool is_null(const Element& element) {
  return element.kind == Kind::kScalar && element.scalar.is_null();
}

bool is_sortable(const Element& element) {
  return element.kind == Kind::kChoice || element.kind == Kind::kRange;
}

Element simple_choice(std::vector<Element> items) {
  Element sweep = Element::of_items(Kind::kChoice, std::move(items));
  sweep.simple = true;
  return sweep;
}

Element choice(Call& call) {
  call.check_all_taken(kAny);
  std::vector<Element> values = call.unnamed();
  if (values.empty()) fail("choice() needs at least one value");
  for (const Element& value : values) {
    if (is_null(value)) fail("choice() takes no null; write the sweep as a,null");
    if (value.kind == Kind::kRange || value.kind == Kind::kGlob) fail("choice() takes no sweep");
  }
  if (values.size() == 1 && values[0].kind == Kind::kChoice) {
    if (!values[0].simple) fail("choice() inside choice(); list the values once");
    values[0].simple = false;
    return values[0];
  }
  return Element::of_items(Kind::kChoice, std::move(values));
}

Element range(Call& call) {
  std::optional<Element> start = call.take("start", 0), stop = call.take("stop", 1),
                         step = call.take("step", 2);
  call.check_all_taken(3);
  if (!start) fail("range() needs (stop), (start, stop) or (start, stop, step)");
  if (stop && is_null(*stop)) stop.reset();
  const Element zero = Element::of(Tree::of_int(0));
  std::vector<Element> bounds = {stop ? *start : zero, stop ? *stop : *start,
                                 step ? *step : Element::of(Tree::of_int(1))};
  for (Element& bound : bounds) {
    const Tree::Kind kind = bound.scalar.kind();
    if (kind == Tree::Kind::kBool) bound = Element::of(Tree::of_int(bound.scalar.as_bool()));
    const bool number =
        kind == Tree::Kind::kInt || kind == Tree::Kind::kFloat || kind == Tree::Kind::kBool;
    if (bound.kind != Kind::kScalar || !number) fail("range() takes numbers only");
  }
  return Element::of_items(Kind::kRange, std::move(bounds));
}

Element glob(Call& call) {
  std::optional<Element> include = call.take("include", 0), exclude = call.take("exclude", 1);
  call.check_all_taken(2);
  if (!include) fail("glob() needs a pattern, e.g. glob(*)");
  const auto list = [](std::optional<Element> given) {
    if (!given || is_null(*given)) return Element::of_items(Kind::kList, {});
    Element result = given->kind == Kind::kList ? *given : Element::of_items(Kind::kList, {*given});
    for (const Element& item : result.items) {
      if (!item.is_text()) fail("glob() takes patterns: texts, or lists of texts");
    }
    return result;
  };
  return Element::of_items(Kind::kGlob, {list(include), list(exclude)});
}

/// a < b for numbers among each other, texts among each other, and lists of such.
bool less(const Element& a, const Element& b) {
  if (a.kind == Kind::kList && b.kind == Kind::kList) {
    return std::lexicographical_compare(a.items.begin(), a.items.end(), b.items.begin(),
                                        b.items.end(), less);
  }
  if (a.kind == Kind::kScalar && b.kind == Kind::kScalar) {
    if (a.scalar.is_string() && b.scalar.is_string()) {
      return a.scalar.as_string() < b.scalar.as_string();
    }
    const std::optional<double> x = finite_or_infinite(a.scalar), y = finite_or_infinite(b.scalar);
    if (x && y) {
      const bool ints = a.scalar.kind() == Tree::Kind::kInt && b.scalar.kind() == Tree::Kind::kInt;
      return ints ? a.scalar.as_int() < b.scalar.as_int() : *x < *y;
    }
  }
  fail("sort() takes numbers only, or words only; quoted texts in a list have no order");
}

void sort_items(std::vector<Element>& items, bool reverse) {
  std::stable_sort(items.begin(), items.end(), [&](const Element& a, const Element& b) {
    return reverse ? less(b, a) : less(a, b);
  });
}

/// The same numbers from the other end, where the range runs the other way.
Element sorted_range(Element range, bool reverse) {
  Tree &start = range.items[0].scalar, &stop = range.items[1].scalar, &step = range.items[2].scalar;
  if (reverse ? !(as_number(start) < as_number(stop)) : !(as_number(start) > as_number(stop))) {
    return range;
  }
  const Tree shift = reverse ? negated(magnitude(step)) : magnitude(step);
  const Tree first = sum(stop, shift), behind = sum(start, shift);
  start = first;
  stop = behind;
  step = negated(step);
  return range;
}

Element sorted(Element value, bool reverse) {
  if (value.kind == Kind::kRange) return sorted_range(std::move(value), reverse);
  sort_items(value.items, reverse);
  return value;
}

Element sort(Call& call) {
  bool reverse = false;
  if (const auto given = call.take("reverse")) {
    if (given->kind != Kind::kScalar || given->scalar.kind() != Tree::Kind::kBool) {
      fail("sort(): reverse is true or false");
    }
    reverse = given->scalar.as_bool();
  }
  const std::optional<Element> list = call.take("list"), sweep = call.take("sweep");
  call.check_all_taken(kAny);
  if (list && list->kind != Kind::kList) fail("sort(): 'list' is a list");
  if (sweep && !is_sortable(*sweep)) fail("sort(): 'sweep' is choice() or range()");
  for (const Element& value : call.unnamed()) {
    if (is_null(value) || value.kind == Kind::kGlob) fail("sort() takes no null and no glob()");
  }
  if (list) return sorted(*list, reverse);
  if (sweep) return sorted(*sweep, reverse);
  const std::vector<Element>& values = call.unnamed();
  if (values.empty()) fail("sort() needs at least one value");
  if (values.size() == 1) {
    const bool several = values[0].kind == Kind::kList || is_sortable(values[0]);
    return several ? sorted(values[0], reverse) : values[0];
  }
  for (const Element& value : values) {
    if (value.kind != Kind::kScalar) fail("sort() of several values takes numbers and words only");
  }
  return sorted(simple_choice(values), reverse);
}

Element shuffle(Call& call) {
  const std::optional<Element> list = call.take("list"), sweep = call.take("sweep");
  call.check_all_taken(kAny);
  if (list && list->kind != Kind::kList) fail("shuffle(): 'list' is a list");
  if (sweep && !is_sortable(*sweep)) fail("shuffle(): 'sweep' is choice() or range()");
  std::vector<Element> values = call.unnamed();
  if (list) values = {*list};
  if (sweep) values = {*sweep};
  for (const Element& value : values) {
    if (is_null(value) || value.kind == Kind::kGlob) fail("shuffle() takes no null and no glob()");
  }
  Element result = values.size() == 1 ? values[0] : simple_choice(values);
  if (values.size() == 1 && !is_sortable(result) && result.kind != Kind::kList) {
    return Element::of_items(Kind::kList, std::move(values));
  }
  if (result.kind == Kind::kList) {
    result.items = shuffled(result.items, fmt::format("list of {}", result.items.size()));
  } else {
    result.shuffled = true;
  }
  return result;
}

/// A cast of one value, of each item, or of each value of a sweep.
Element cast(const std::string& name, const Element& value) {
  switch (value.kind) {
    case Kind::kScalar:
    case Kind::kQuoted: return Element::of(cast_scalar(name, value.scalar));
    case Kind::kGlob:
    case Kind::kExtendList: fail(fmt::format("{}() takes no {}", name, "glob() or extend_list()"));
    case Kind::kRange:
      if (name != "int" && name != "float") fail("a range can be cast to int or float only");
      [[fallthrough]];
    default: break;
  }
  Element result = value;
  for (Element& item : result.items) item = cast(name, item);
  result.shuffled = false;
  return result;
}

Element cast_call(Call& call) {
  std::optional<Element> named = call.take("value");
  call.check_all_taken(kAny);
  if (named && is_null(*named)) named.reset();
  if (named && !call.unnamed().empty()) fail(fmt::format("{}() takes one value", call.name()));
  if (named) return cast(call.name(), *named);
  if (call.unnamed().empty()) fail(fmt::format("{}() needs a value", call.name()));
  if (call.unnamed().size() == 1) return cast(call.name(), call.unnamed()[0]);
  for (const Element& value : call.unnamed()) {
    if (value.is_sweep()) fail(fmt::format("{}() of several values takes no sweep", call.name()));
  }
  return cast(call.name(), simple_choice(call.unnamed()));
}

Element json_str(Call& call) {
  const std::optional<Element> value = call.take("value", 0);
  call.check_all_taken(1);
  if (!value) fail("json_str() needs a value");
  std::string text = json_text(*value);
  // Each call escapes the quotes of the one inside, so that nested calls double their text.
  if (text.size() > kMaxStringBytes) {
    fail(fmt::format("json_str() gives a text of {} bytes; at most {} are allowed", text.size(),
                     kMaxStringBytes));
  }
  return Element::quoted(std::move(text));
}

Element extend_list(Call& call) {
  call.check_all_taken(kAny);
  return Element::of_items(Kind::kExtendList, call.unnamed());
}

[[noreturn]] void refuse_optimizer(const Call& call) {
  fail(
      fmt::format("{}() is for optimisers, which attnlab has none of; name the values: "
                  "choice(...) or range(...)",
                  call.name()));
}

}  // namespace

Element call_function(const std::string& name, std::vector<Argument> arguments) {
  using Function = Element (*)(Call&);
  static const std::map<std::string, Function> kFunctions = {{"choice", choice},
                                                             {"range", range},
                                                             {"glob", glob},
                                                             {"sort", sort},
                                                             {"shuffle", shuffle},
                                                             {"int", cast_call},
                                                             {"float", cast_call},
                                                             {"str", cast_call},
                                                             {"bool", cast_call},
                                                             {"json_str", json_str},
                                                             {"extend_list", extend_list}};
  Call call(name, std::move(arguments));
  if (name == "interval" || name == "tag") refuse_optimizer(call);
  const auto function = kFunctions.find(name);
  if (function == kFunctions.end()) {
    std::vector<std::string> known;
    for (const auto& entry : kFunctions) known.push_back(entry.first);
    fail(fmt::format("unknown function '{}'.{} Known: {}. To keep the text, quote it", name,
                     did_you_mean(name, known), join_names(known)));
  }
  return function->second(call);
}

std::vector<Element> sweep_values(const Element& sweep, std::string_view seed_text) {
  std::vector<Element> values;
  if (sweep.kind == Kind::kRange) {
    for (Tree& value : range_values(sweep.items[0].scalar, sweep.items[1].scalar,
                                    sweep.items[2].scalar, kMaxSweepValues)) {
      values.push_back(Element::of(std::move(value)));
    }
  } else {
    values = sweep.items;
  }
  return sweep.shuffled ? shuffled(std::move(values), seed_text) : values;
}

}  // namespace attnlab::config
