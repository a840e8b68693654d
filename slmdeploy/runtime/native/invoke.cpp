#include "clock.h"
#include "failure.h"
#include "files.h"
#include "json.h"
#include "memory.h"
#include "modes.h"

namespace slmd {
namespace {

// The method's own shape is the largest that memory is planned for.
void check_shape(size_t index, const std::vector<int64_t>& shape, const std::vector<int64_t>& most) {
  const std::string input = "input " + std::to_string(index);
  if (shape.size() != most.size()) {
    throw Failure{Exit::kUsage, "bad_input",
                  "The shape " + json_ints(shape) + " of " + input + " has " + std::to_string(shape.size()) +
                      " axes, not the " + std::to_string(most.size()) + " of " + json_ints(most) + "."};
  }
  for (size_t axis = 0; axis < shape.size(); axis++) {
    if (shape[axis] <= most[axis]) continue;
    throw Failure{Exit::kUsage, "bad_input",
                  "Axis " + std::to_string(axis) + " of " + input + " is " + std::to_string(shape[axis]) +
                      "; it is at most " + std::to_string(most[axis]) + ".",
                  "Memory is planned for the largest sizes; export with larger ones."};
  }
}

void resize_inputs(LoadedMethod& method, const std::vector<std::vector<int64_t>>& shapes) {
  const size_t count = method.meta().num_inputs();
  if (shapes.size() != count) {
    throw Failure{Exit::kUsage, "bad_input",
                  "There are " + std::to_string(shapes.size()) + " shapes for " + std::to_string(count) + " inputs.",
                  "Give --shape once per input, in order, or not at all."};
  }
  for (size_t i = 0; i < count; i++) {
    check_shape(i, shapes[i], shape_of(method.meta().input_tensor_meta(i).get()));
    method.inputs()[i].resize(shapes[i]);
  }
}

void read_inputs(LoadedMethod& method, const std::vector<std::string>& files,
                 const std::vector<std::vector<int64_t>>& shapes) {
  const auto& meta = method.meta();
  if (files.size() != meta.num_inputs()) {
    throw Failure{Exit::kUsage, "bad_input",
                  "Method '" + method.name() + "' takes " + std::to_string(meta.num_inputs()) +
                      " inputs, not " + std::to_string(files.size()) + ".",
                  "Give --input once per input, in order; --mode describe lists them."};
  }
  if (!shapes.empty()) resize_inputs(method, shapes);
  for (size_t i = 0; i < files.size(); i++) {
    InputTensor& input = method.inputs()[i];
    const auto info = meta.input_tensor_meta(i).get();
    const std::string shape = json_ints(shapes.empty() ? shape_of(info) : shapes[i]);
    const std::string what = "input " + std::to_string(i) + ", " + dtype_name(info.scalar_type()) + " " + shape;
    read_exactly(files[i], input.data(), input.nbytes(), what);
  }
}

void write_output(const LoadedMethod& method, size_t index, const std::string& directory) {
  const auto& value = method.output(index);
  if (!value.isTensor()) {
    throw Failure{Exit::kModel, "bad_model",
                  "Output " + std::to_string(index) + " of method '" + method.name() + "' is not a tensor."};
  }
  const auto tensor = value.toTensor();
  const std::string file = directory + "/output-" + std::to_string(index) + ".bin";
  Writer out(file);
  out.write(tensor.const_data_ptr(), tensor.nbytes());
  out.close();
  const auto sizes = tensor.sizes();
  Event("output").number("index", static_cast<int64_t>(index)).text("dtype", dtype_name(tensor.scalar_type()))
      .raw("shape", json_ints({sizes.begin(), sizes.end()})).text("file", file).emit();
}

}  // namespace

void invoke(Model& model, const Options& options) {
  const auto methods = model.load({options.method});
  LoadedMethod& method = *methods.front();
  emit_memory("methods");
  read_inputs(method, options.inputs, options.shapes);
  for (int64_t i = 0; i < options.warmup; i++) method.run();
  if (options.warmup > 0) emit_memory("warmup");
  for (int64_t i = 0; i < options.runs; i++) {
    const int64_t start = now_ns();
    method.run();
    const int64_t end = now_ns();
    Event("run").number("index", i).number("start_ns", start).number("end_ns", end).emit();
  }
  emit_memory("end");
  if (options.warmup + options.runs > 0) {
    for (size_t i = 0; i < method.output_count(); i++) write_output(method, i, options.output_dir);
  }
  Event("done").text("reason", "complete").number("generated", 0).number("t_ns", now_ns()).emit();
}

}  // namespace slmd
