#include "experiments/training/train_state.h"

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

namespace attnlab::training {
namespace {

using Json = nlohmann::ordered_json;

/// JSON has no NaN: the library writes null.
double number(const Json& value) {
  return value.is_null() ? std::numeric_limits<double>::quiet_NaN() : value.get<double>();
}

Json to_json(const CurvePoint& point) {
  return {point.lr,   point.step,          point.learning_rate,
          point.loss, point.gradient_norm, point.validation};
}

CurvePoint point_of(const Json& array) {
  return {number(array.at(0)), array.at(1).get<std::int64_t>(),
          number(array.at(2)), number(array.at(3)),
          number(array.at(4)), number(array.at(5))};
}

Json to_json(const LookInside& look) {
  return {look.lr, look.row.step, look.row.layer, look.row.head, look.row.quantity, look.row.value};
}

LookInside look_of(const Json& array) {
  return {number(array.at(0)),
          {array.at(1).get<std::int64_t>(), array.at(2).get<std::int64_t>(),
           array.at(3).get<std::int64_t>(), array.at(4).get<std::string>(), number(array.at(5))}};
}

}  // namespace

std::string encode_state(const TrainState& state) {
  Json curve = Json::array();
  for (const CurvePoint& point : state.result.curve) curve.push_back(to_json(point));
  Json looks = Json::array();
  for (const LookInside& look : state.result.looks_inside) looks.push_back(to_json(look));
  return Json{{"lr_index", state.lr_index},
              {"step", state.step},
              {"stale", state.stale},
              {"best_look", state.best_look},
              {"best_lr", state.result.best_lr},
              {"validation", state.result.validation},
              {"steps", state.result.steps},
              {"peak_bytes", state.result.peak_bytes},
              {"tokens_per_s", state.result.tokens_per_s},
              {"curve", curve},
              {"looks_inside", looks},
              {"best_step_ms", state.result.step_ms},
              {"step_ms", state.step_ms},
              {"tokens", state.tokens},
              {"seconds", state.seconds}}
      .dump();
}

TrainState decode_state(const std::string& text) {
  const Json object = Json::parse(text);
  TrainState state;
  state.lr_index = object.at("lr_index").get<std::size_t>();
  state.step = object.at("step").get<std::int64_t>();
  state.stale = object.at("stale").get<std::int64_t>();
  state.best_look = number(object.at("best_look"));
  state.result.best_lr = object.at("best_lr").get<double>();
  state.result.validation = number(object.at("validation"));
  state.result.steps = object.at("steps").get<std::int64_t>();
  state.result.peak_bytes = object.at("peak_bytes").get<std::int64_t>();
  state.result.tokens_per_s = object.at("tokens_per_s").get<double>();
  for (const Json& point : object.at("curve")) state.result.curve.push_back(point_of(point));
  for (const Json& look : object.at("looks_inside")) {
    state.result.looks_inside.push_back(look_of(look));
  }
  state.result.step_ms = object.at("best_step_ms").get<std::vector<double>>();
  state.step_ms = object.at("step_ms").get<std::vector<double>>();
  state.tokens = object.at("tokens").get<std::int64_t>();
  state.seconds = object.at("seconds").get<double>();
  return state;
}

}  // namespace attnlab::training
