#include "clock.h"
#include "failure.h"
#include "files.h"
#include "json.h"
#include "memory.h"
#include "modes.h"

namespace slmd {
namespace {

void read_inputs(LoadedMethod& method, const std::vector<std::string>& files) {
  const auto& meta = method.meta();
  if (files.size() != meta.num_inputs()) {
    throw Failure{Exit::kUsage, "bad_input",
                  "Method '" + method.name() + "' takes " + std::to_string(meta.num_inputs()) +
                      " inputs, not " + std::to_string(files.size()) + ".",
                  "Give --input once per input, in order; --mode describe lists them."};
  }
  for (size_t i = 0; i < files.size(); i++) {
    InputTensor& input = method.inputs()[i];
    const std::string what = "input " + std::to_string(i) + ", " + describe_tensor(meta.input_tensor_meta(i).get());
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
  read_inputs(method, options.inputs);
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
