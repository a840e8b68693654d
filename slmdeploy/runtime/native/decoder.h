// A decoder with its cache: token ids in, logits out.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "model.h"

namespace slmd {

// Logits of one position and when their call began and ended.
struct Row {
  const float* logits;  // [vocabulary]; valid until the next call
  int64_t start_ns;
  int64_t end_ns;
};

class Decoder {
 public:
  // Loads `decode` and, where there is one, `prefill`. Throws Failure `not_a_decoder` when
  // their shapes are not those of docs/runner-protocol.md, or what loading them throws.
  Decoder(Model& model, int64_t decode_tail);
  int64_t vocabulary() const { return vocabulary_; }
  int64_t context() const { return context_; }
  // Throws Failure `token_out_of_range` or `prompt_too_long`.
  void check_tokens(const std::vector<int64_t>& tokens) const;
  // Feeds tokens from position 0 on; emits a `prefill` event per call. Gives the last row.
  Row prefill(const int64_t* tokens, int64_t count);
  // Feeds one token.
  Row step(int64_t token, int64_t position);

 private:
  void read_constants(Model& model);
  void check_decode() const;
  void check_prefill();
  Row chunk(const int64_t* tokens, int64_t begin, int64_t end);
  Row call(LoadedMethod& method, int64_t row);

  std::vector<std::unique_ptr<LoadedMethod>> methods_;
  LoadedMethod* decode_ = nullptr;
  LoadedMethod* prefill_ = nullptr;
  int64_t decode_tail_;
  int64_t vocabulary_ = 0;
  int64_t context_ = 0;
  int64_t capacity_ = 0;
  int64_t chunk_ = 1;
};

}  // namespace slmd
