#include "clock.h"
#include "decoder.h"
#include "failure.h"
#include "files.h"
#include "json.h"
#include "memory.h"
#include "modes.h"

namespace slmd {
namespace {

void check_prompt_length(const Options& options, size_t tokens) {
  if (static_cast<size_t>(options.prompt_length) <= tokens) return;
  throw Failure{Exit::kUsage, "bad_argument",
                "--prompt-length " + std::to_string(options.prompt_length) + " is more than the " +
                    std::to_string(tokens) + " tokens given."};
}

}  // namespace

void score(Model& model, const Options& options) {
  const std::vector<int64_t> tokens = read_tokens(options.tokens);
  check_prompt_length(options, tokens.size());
  Decoder decoder(model, options.decode_tail);
  emit_memory("methods");
  decoder.check_tokens(tokens);
  Writer out(options.logits);
  const size_t row_bytes = static_cast<size_t>(decoder.vocabulary()) * sizeof(float);
  const Row first = decoder.prefill(tokens.data(), options.prompt_length);
  out.write(first.logits, row_bytes);
  emit_memory("prefill");
  const auto count = static_cast<int64_t>(tokens.size());
  for (int64_t position = options.prompt_length; position < count; position++) {
    const Row row = decoder.step(tokens[static_cast<size_t>(position)], position);
    out.write(row.logits, row_bytes);
    Event("step").number("position", position).number("start_ns", row.start_ns)
        .number("end_ns", row.end_ns).emit();
  }
  out.close();
  emit_memory("end");
  const int64_t rows = count - options.prompt_length + 1;
  Event("output").number("index", 0).text("dtype", "float32")
      .raw("shape", json_ints({rows, decoder.vocabulary()})).text("file", options.logits).emit();
  Event("done").text("reason", "complete").number("generated", 0).number("t_ns", now_ns()).emit();
}

}  // namespace slmd
