#include "clock.h"
#include "failure.h"
#include "json.h"
#include "log.h"
#include "modes.h"
#include "problems.h"

namespace slmd {
namespace {

using executorch::runtime::MethodMeta;
using executorch::runtime::Result;
using executorch::runtime::TensorInfo;

std::string tensor_json(const Result<TensorInfo>& info) {
  if (!info.ok()) return "null";
  return std::string("{\"dtype\":") + json_string(dtype_name(info->scalar_type())) +
         ",\"shape\":" + json_ints(shape_of(*info)) + "}";
}

template <typename Get>
std::string tensors_json(size_t count, Get&& get) {
  std::string out = "[";
  for (size_t i = 0; i < count; i++) out += (i > 0 ? "," : "") + tensor_json(get(i));
  return out + "]";
}

std::vector<std::string> backends(const MethodMeta& meta) {
  std::vector<std::string> names;
  for (size_t i = 0; i < meta.num_backends(); i++) {
    const auto name = meta.get_backend_name(i);
    if (name.ok()) names.emplace_back(*name);
  }
  return names;
}

std::vector<int64_t> planned(const MethodMeta& meta) {
  const auto sizes = planned_sizes(meta);
  return {sizes.begin(), sizes.end()};
}

void describe_method(Model& model, const std::string& name) {
  const MethodMeta meta = model.meta(name);
  Event event("method");
  event.text("name", name)
      .raw("inputs", tensors_json(meta.num_inputs(), [&](size_t i) { return meta.input_tensor_meta(i); }))
      .raw("outputs", tensors_json(meta.num_outputs(), [&](size_t i) { return meta.output_tensor_meta(i); }))
      .raw("backends", json_strings(backends(meta)))
      .raw("planned_bytes", json_ints(planned(meta)));
  std::vector<std::string> missing;
  std::string problem;
  try {
    const auto loaded = model.load({name});
  } catch (const Failure& failure) {
    if (failure.cause == "operator_missing") missing = missing_operators();
    problem = failure.cause + ": " + failure.message;
  }
  event.raw("missing_operators", json_strings(missing));
  problem.empty() ? event.null("problem") : event.text("problem", problem);
  event.emit();
}

}  // namespace

void describe(Model& model) {
  for (const std::string& name : model.method_names()) {
    const MethodMeta meta = model.meta(name);
    std::optional<int64_t> value;
    if (meta.num_inputs() == 0 && meta.num_outputs() == 1) value = model.constant(name);
    if (value) {
      Event("constant").text("name", name).number("value", *value).emit();
    } else {
      describe_method(model, name);
    }
  }
  Event("done").text("reason", "complete").number("generated", 0).number("t_ns", now_ns()).emit();
}

}  // namespace slmd
