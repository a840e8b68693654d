#include "decoder.h"

#include <algorithm>
#include <cstring>

#include "clock.h"
#include "failure.h"
#include "json.h"

namespace slmd {
namespace {

using executorch::aten::ScalarType;

[[noreturn]] void not_a_decoder(const std::string& message) {
  throw Failure{Exit::kModel, "not_a_decoder", message, "--mode invoke runs any other method."};
}

std::string shown(const LoadedMethod& method, size_t input) {
  return describe_tensor(method.meta().input_tensor_meta(input).get());
}

bool is_int64(const LoadedMethod& method, size_t input, int64_t numel) {
  const auto info = method.meta().input_tensor_meta(input);
  return info.ok() && info->scalar_type() == ScalarType::Long &&
         info->nbytes() == static_cast<size_t>(numel) * sizeof(int64_t);
}

int64_t* ints(LoadedMethod& method, size_t input) {
  return static_cast<int64_t*>(method.inputs()[input].data());
}

// [rows, vocabulary] of a method's only output.
std::vector<int64_t> logits_shape(const LoadedMethod& method) {
  const auto info = method.output_count() == 1 ? method.meta().output_tensor_meta(0)
                                               : executorch::runtime::Error::InvalidArgument;
  if (!info.ok() || info->scalar_type() != ScalarType::Float || info->sizes().size() < 2) {
    not_a_decoder("Method '" + method.name() + "' does not give float32 logits [rows, vocabulary].");
  }
  const auto shape = shape_of(*info);
  int64_t rows = 1;
  for (size_t i = 0; i + 1 < shape.size(); i++) rows *= shape[i];
  return {rows, shape.back()};
}

}  // namespace

Decoder::Decoder(Model& model, int64_t decode_tail) : decode_tail_(decode_tail) {
  read_constants(model);
  std::vector<std::string> names = {"decode"};
  if (model.has_method("prefill")) names.insert(names.begin(), "prefill");
  if (names.size() == 2 && planned_sizes(model.meta("decode")).size() < Arenas::kShared) {
    not_a_decoder("'prefill' and 'decode' do not share a cache: the program has no shared mutable buffers.");
  }
  methods_ = model.load(names);
  decode_ = methods_.back().get();
  prefill_ = names.size() == 2 ? methods_.front().get() : nullptr;
  check_decode();
  vocabulary_ = logits_shape(*decode_)[1];
  if (prefill_ != nullptr) check_prefill();
}

void Decoder::read_constants(Model& model) {
  if (!model.has_method("decode")) (void)model.meta("decode");  // throws, naming what there is
  const auto context = model.constant("get_context");
  if (!context) not_a_decoder("The program does not say how many tokens it holds (get_context).");
  context_ = *context;
  capacity_ = model.constant("get_capacity").value_or(context_);
  if (context_ < 1 || capacity_ < context_) {
    not_a_decoder("A context of " + std::to_string(context_) + " tokens does not fit a cache of " +
                  std::to_string(capacity_) + ".");
  }
}

void Decoder::check_decode() const {
  if (decode_->inputs().size() == 2 && is_int64(*decode_, 0, 1) && is_int64(*decode_, 1, 1) &&
      logits_shape(*decode_)[0] == 1) {
    return;
  }
  not_a_decoder("Method 'decode' must take a token int64 [1, 1] and a position int64 [1].");
}

void Decoder::check_prefill() {
  const size_t inputs = prefill_->inputs().size();
  if (inputs != 2 && inputs != 3) not_a_decoder("Method 'prefill' must take tokens, position and last.");
  chunk_ = static_cast<int64_t>(prefill_->inputs()[0].nbytes() / sizeof(int64_t));
  for (size_t i = 0; i < inputs; i++) {
    if (!is_int64(*prefill_, i, i == 0 ? chunk_ : 1)) {
      not_a_decoder("Input " + std::to_string(i) + " of 'prefill' is " + shown(*prefill_, i) + ".");
    }
  }
  const auto shape = logits_shape(*prefill_);
  if (shape[0] != (inputs == 3 ? 1 : chunk_) || shape[1] != vocabulary_) {
    not_a_decoder("'prefill' gives logits " + json_ints(shape) + ", which does not go with 'decode'.");
  }
  if (chunk_ > capacity_) {
    not_a_decoder("A chunk of " + std::to_string(chunk_) + " tokens does not fit a cache of " +
                  std::to_string(capacity_) + ".");
  }
}

void Decoder::check_tokens(const std::vector<int64_t>& tokens) const {
  for (size_t i = 0; i < tokens.size(); i++) {
    if (tokens[i] >= 0 && tokens[i] < vocabulary_) continue;
    throw Failure{Exit::kUsage, "token_out_of_range",
                  "Token " + std::to_string(tokens[i]) + " at place " + std::to_string(i) +
                      " is beyond the vocabulary of " + std::to_string(vocabulary_) + ".",
                  "The tokenizer must be the one of the bundle."};
  }
  if (static_cast<int64_t>(tokens.size()) > context_) {
    throw Failure{Exit::kUsage, "prompt_too_long",
                  std::to_string(tokens.size()) + " tokens do not fit the context of " +
                      std::to_string(context_) + ".",
                  "Shorten the prompt, or export with a larger --context."};
  }
}

Row Decoder::call(LoadedMethod& method, int64_t row) {
  const int64_t start = now_ns();
  method.run();
  const int64_t end = now_ns();
  const auto tensor = method.output(0).toTensor();
  return {tensor.const_data_ptr<float>() + row * vocabulary_, start, end};
}

Row Decoder::step(int64_t token, int64_t position) {
  *ints(*decode_, 0) = token;
  *ints(*decode_, 1) = position;
  return call(*decode_, 0);
}

// Feeds tokens [begin, end), at most a chunk. Where the chunk would reach beyond the cache
// it starts earlier: the tokens before `begin` are fed again and write the same values.
// Places after `end` get id 0; what they write lies beyond the position and is overwritten.
Row Decoder::chunk(const int64_t* tokens, int64_t begin, int64_t end) {
  const int64_t position = std::min(begin, capacity_ - chunk_);
  const int64_t used = end - position;
  int64_t* ids = ints(*prefill_, 0);
  std::copy(tokens + position, tokens + end, ids);
  std::fill(ids + used, ids + chunk_, 0);
  *ints(*prefill_, 1) = position;
  const bool last_only = prefill_->inputs().size() == 3;
  if (last_only) *ints(*prefill_, 2) = used - 1;
  const Row row = call(*prefill_, last_only ? 0 : used - 1);
  Event("prefill").text("method", "prefill").number("position", begin).number("tokens", end - begin)
      .number("rows", chunk_).number("start_ns", row.start_ns).number("end_ns", row.end_ns).emit();
  return row;
}

Row Decoder::prefill(const int64_t* tokens, int64_t count) {
  Row row{};
  for (int64_t begin = 0; begin < count;) {
    const int64_t left = count - begin;
    if (prefill_ != nullptr && left > decode_tail_) {
      const int64_t end = begin + std::min(left, chunk_);
      row = chunk(tokens, begin, end);
      begin = end;
    } else {
      row = step(tokens[begin], begin);
      Event("prefill").text("method", "decode").number("position", begin).number("tokens", 1)
          .number("rows", 1).number("start_ns", row.start_ns).number("end_ns", row.end_ns).emit();
      begin++;
    }
  }
  return row;
}

}  // namespace slmd
