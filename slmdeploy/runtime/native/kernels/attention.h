// Attention of one query head over a cache, in plain loops that a compiler vectorizes.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

namespace slmd {

// exp(x) for float32, branch-free so that a loop of it becomes vector code: 2^n times a
// polynomial in the rest (Taylor to the 7th power, |rest| <= ln(2)/2). Relative error below
// 2e-7; below about -87 it gives 0, which is what a masked place needs.
inline float fast_exp(float x) {
  const float clamped = x < -87.0f ? -87.0f : x;
  const float n = std::nearbyintf(clamped * 1.44269504f);
  const float r = (clamped - n * 0.693359375f) + n * 2.12194440e-4f;
  float p = 1.98412698e-4f;
  p = p * r + 1.38888889e-3f;
  p = p * r + 8.33333333e-3f;
  p = p * r + 4.16666667e-2f;
  p = p * r + 1.66666667e-1f;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  const int32_t bits = (static_cast<int32_t>(n) + 127) << 23;
  float power;
  std::memcpy(&power, &bits, sizeof power);
  return x < -87.0f ? 0.0f : p * power;
}

// Keys or values of one head: row t begins at data + t * stride.
struct Rows {
  const float* data;
  int64_t stride;
};

// Dot products of a query with keys [0, count). Four keys at a time use each loaded part of
// the query four times and keep four sums going.
inline void dot_keys(const float* query, Rows keys, int64_t count, int64_t size, float scale, float* scores) {
  int64_t t = 0;
  for (; t + 4 <= count; t += 4) {
    const float* k0 = keys.data + t * keys.stride;
    const float *k1 = k0 + keys.stride, *k2 = k1 + keys.stride, *k3 = k2 + keys.stride;
    float s0 = 0, s1 = 0, s2 = 0, s3 = 0;
    for (int64_t d = 0; d < size; d++) {
      s0 += query[d] * k0[d];
      s1 += query[d] * k1[d];
      s2 += query[d] * k2[d];
      s3 += query[d] * k3[d];
    }
    scores[t] = s0 * scale;
    scores[t + 1] = s1 * scale;
    scores[t + 2] = s2 * scale;
    scores[t + 3] = s3 * scale;
  }
  for (; t < count; t++) {
    const float* k = keys.data + t * keys.stride;
    float s = 0;
    for (int64_t d = 0; d < size; d++) s += query[d] * k[d];
    scores[t] = s * scale;
  }
}

// Turns scores into exp(score - max) and gives their sum.
inline float exponentiate(float* scores, int64_t count) {
  float most = scores[0];
  for (int64_t t = 1; t < count; t++) most = std::max(most, scores[t]);
  // A row that is masked as a whole attends to nothing.
  if (most == -HUGE_VALF) most = 0;
  float sum = 0;
  for (int64_t t = 0; t < count; t++) {
    scores[t] = fast_exp(scores[t] - most);
    sum += scores[t];
  }
  return sum;
}

// out = sum over t of weights[t] * values[t]. Four values at a time load and store `out` once.
inline void mix_values(const float* weights, Rows values, int64_t count, int64_t size, float* out) {
  std::fill(out, out + size, 0.0f);
  int64_t t = 0;
  for (; t + 4 <= count; t += 4) {
    const float* v0 = values.data + t * values.stride;
    const float *v1 = v0 + values.stride, *v2 = v1 + values.stride, *v3 = v2 + values.stride;
    const float w0 = weights[t], w1 = weights[t + 1], w2 = weights[t + 2], w3 = weights[t + 3];
    for (int64_t d = 0; d < size; d++) out[d] += w0 * v0[d] + w1 * v1[d] + w2 * v2[d] + w3 * v3[d];
  }
  for (; t < count; t++) {
    const float* v = values.data + t * values.stride;
    for (int64_t d = 0; d < size; d++) out[d] += weights[t] * v[d];
  }
}

}  // namespace slmd
