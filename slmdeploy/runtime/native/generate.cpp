#include <algorithm>

#include "clock.h"
#include "decoder.h"
#include "failure.h"
#include "files.h"
#include "json.h"
#include "memory.h"
#include "modes.h"

namespace slmd {
namespace {

void emit_token(int64_t index, int64_t id, int64_t start_ns, int64_t t_ns, bool stop) {
  Event event("token");
  event.number("index", index).number("id", id).number("start_ns", start_ns).number("t_ns", t_ns);
  if (stop) event.flag("stop", true);
  event.emit();
}

struct End {
  const char* reason;
  int64_t generated;
};

End answer(Decoder& decoder, const Options& options, const std::vector<int64_t>& prompt, Row row) {
  Sampler sampler(options.sampling, decoder.vocabulary());
  for (const int64_t id : prompt) sampler.saw(id);
  const auto length = static_cast<int64_t>(prompt.size());
  const int64_t room = decoder.context() - length;
  const int64_t most = std::min(options.max_new, room);
  for (int64_t index = 0; index < most; index++) {
    const int64_t id = sampler.pick(row.logits);
    const bool stop = std::find(options.stops.begin(), options.stops.end(), id) != options.stops.end();
    emit_token(index, id, row.start_ns, now_ns(), stop);
    if (stop) return {"stop", index + 1};
    sampler.saw(id);
    if (index + 1 < most) row = decoder.step(id, length + index);
  }
  return {options.max_new <= room ? "length" : "context", most};
}

}  // namespace

void generate(Model& model, const Options& options) {
  const std::vector<int64_t> prompt = read_tokens(options.tokens);
  Decoder decoder(model, options.decode_tail);
  emit_memory("methods");
  decoder.check_tokens(prompt);
  const Row row = decoder.prefill(prompt.data(), static_cast<int64_t>(prompt.size()));
  emit_memory("prefill");
  const End end = answer(decoder, options, prompt, row);
  emit_memory("end");
  Event("done").text("reason", end.reason).number("generated", end.generated).number("t_ns", now_ns()).emit();
}

}  // namespace slmd
