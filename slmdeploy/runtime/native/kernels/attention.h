// Attention of one query head over a cache.
#pragma once

#include <cstdint>

namespace slmd {

// Everything that one call works on; sizes as in custom_sdpa.cpp.
struct Call {
  const float *query, *key, *value, *mask;
  float* out;
  int64_t queries, heads, size, places, key_heads, start, mask_stride;
  float scale;
  bool causal;
};

// One query head at one position; `row` counts them as in the query's layout [B, S, H].
// `scratch` has room for scratch_floats(call).
using Attend = void (*)(const Call& call, int64_t row, float* scratch);

// Whole rows of lanes for the scores of all places, and for a query.
inline int64_t scratch_floats(const Call& call) {
  constexpr int64_t kRow = 16;
  return (call.places + kRow - 1) / kRow * kRow + (call.size + kRow - 1) / kRow * kRow;
}

namespace baseline {
void attend(const Call& call, int64_t row, float* scratch);
}
#if defined(__x86_64__)
namespace fma {
void attend(const Call& call, int64_t row, float* scratch);
}
#endif

}  // namespace slmd
