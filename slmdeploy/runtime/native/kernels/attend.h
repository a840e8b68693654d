// The loops of the attention, for the instruction set of the file that includes them.
#pragma once

#include "attention.h"
#include "lanes.h"

namespace slmd::SLMD_SET {

// Keys or values of one head: row t begins at data + t * stride.
struct Rows {
  const float* data;
  int64_t stride, size;

  const float* at(int64_t t) const { return data + t * stride; }
};

inline int64_t whole_rows(int64_t count) { return (count + kLanes - 1) / kLanes * kLanes; }

// query * scale, filled up with 0.
inline void scale_query(const float* query, int64_t size, float scale, float* scaled) {
  int64_t d = 0;
  for (; d < size; d++) scaled[d] = query[d] * scale;
  for (; d < whole_rows(size); d++) scaled[d] = 0;
}

// Dot products of a query with four keys: each loaded part of the query is used four times.
inline Four dot_four(const float* query, const float* k0, const float* k1, const float* k2, const float* k3,
                     int64_t size) {
  Row s0 = all(0), s1 = s0, s2 = s0, s3 = s0;
  int64_t d = 0;
  for (; d + kLanes <= size; d += kLanes) {
    const Row q = load(query + d);
    s0 = fused(q, load(k0 + d), s0);
    s1 = fused(q, load(k1 + d), s1);
    s2 = fused(q, load(k2 + d), s2);
    s3 = fused(q, load(k3 + d), s3);
  }
  if (d < size) {
    const Row q = load(query + d);
    s0 = fused(q, load_part(k0 + d, size - d), s0);
    s1 = fused(q, load_part(k1 + d, size - d), s1);
    s2 = fused(q, load_part(k2 + d, size - d), s2);
    s3 = fused(q, load_part(k3 + d, size - d), s3);
  }
  return sums(s0, s1, s2, s3);
}

// Dot products of a query with keys [0, count).
inline void dot_keys(const float* query, const Rows& keys, int64_t count, float* scores) {
  int64_t t = 0;
  for (; t + 4 <= count; t += 4) {
    const Four dots = dot_four(query, keys.at(t), keys.at(t + 1), keys.at(t + 2), keys.at(t + 3), keys.size);
    std::memcpy(scores + t, &dots, sizeof dots);
  }
  for (; t < count; t++) {
    const float* key = keys.at(t);
    scores[t] = dot_four(query, key, key, key, key, keys.size)[0];
  }
}

// Turns scores into exp(score - max) and gives their sum; fills the last row up with 0.
inline float exponentiate(float* scores, int64_t count) {
  for (int64_t t = count; t < whole_rows(count); t++) scores[t] = -__builtin_inff();
  Row largest = load(scores);
  for (int64_t t = kLanes; t < count; t += kLanes) largest = larger(largest, load(scores + t));
  float lanes[kLanes];
  store(largest, lanes);
  float most = lanes[0];
  for (float lane : lanes) most = most > lane ? most : lane;
  // A row that is masked as a whole attends to nothing.
  const Row shift = all(most == -__builtin_inff() ? 0 : -most);
  Row total = all(0);
  for (int64_t t = 0; t < count; t += kLanes) {
    const Row weights = map([](Native x) { return exponential(x); }, sum(load(scores + t), shift));
    store(weights, scores + t);
    total = sum(total, weights);
  }
  return sums(total, total, total, total)[0];
}

// Four rows of lanes of out = share * sum over t of weights[t] * values[t].
inline void mix_four(const float* weights, const Rows& values, int64_t count, float share, float* out) {
  Row o0 = all(0), o1 = o0, o2 = o0, o3 = o0;
  for (int64_t t = 0; t < count; t++) {
    const Row weight = all(weights[t]);
    const float* value = values.at(t);
    o0 = fused(weight, load(value), o0);
    o1 = fused(weight, load(value + kLanes), o1);
    o2 = fused(weight, load(value + 2 * kLanes), o2);
    o3 = fused(weight, load(value + 3 * kLanes), o3);
  }
  const Row scale = all(share);
  store(product(o0, scale), out);
  store(product(o1, scale), out + kLanes);
  store(product(o2, scale), out + 2 * kLanes);
  store(product(o3, scale), out + 3 * kLanes);
}

// The same for the last rows of lanes, one at a time, of which the last may be a part.
inline void mix_rest(const float* weights, const Rows& values, int64_t count, float share, float* out) {
  for (int64_t d = 0; d < values.size; d += kLanes) {
    const int64_t width = values.size - d < kLanes ? values.size - d : kLanes;
    Row mixed = all(0);
    for (int64_t t = 0; t < count; t++) {
      const float* value = values.at(t) + d;
      mixed = fused(all(weights[t]), width == kLanes ? load(value) : load_part(value, width), mixed);
    }
    float lanes[kLanes];
    store(product(mixed, all(share)), lanes);
    std::memcpy(out + d, lanes, static_cast<size_t>(width) * sizeof(float));
  }
}

// out = share * sum over t of weights[t] * values[t], t in order.
inline void mix_values(const float* weights, Rows values, int64_t count, float share, float* out) {
  constexpr int64_t kBlock = 4 * kLanes;
  for (; values.size >= kBlock; values.size -= kBlock, values.data += kBlock, out += kBlock) {
    mix_four(weights, values, count, share, out);
  }
  mix_rest(weights, values, count, share, out);
}

void attend(const Call& call, int64_t row, float* scratch) {
  const int64_t head = row % call.heads, s = row / call.heads % call.queries;
  const int64_t batch = row / call.heads / call.queries;
  const int64_t stride = call.key_heads * call.size;
  const int64_t key_head = head / (call.heads / call.key_heads);
  const int64_t origin = batch * call.places * stride + key_head * call.size;
  const int64_t seen = call.mask != nullptr ? call.places : call.start + call.queries;
  const int64_t count = call.causal ? call.start + s + 1 : seen;
  float *scores = scratch, *query = scratch + whole_rows(call.places);
  scale_query(call.query + row * call.size, call.size, call.scale, query);
  dot_keys(query, {call.key + origin, stride, call.size}, count, scores);
  if (call.mask != nullptr) {
    const float* mask = call.mask + s * call.mask_stride;
    for (int64_t t = 0; t < count; t++) scores[t] += mask[t];
  }
  const float total = exponentiate(scores, count);
  const float share = total > 0 ? 1.0f / total : 0.0f;
  mix_values(scores, {call.value + origin, stride, call.size}, count, share, call.out + row * call.size);
}

}  // namespace slmd::SLMD_SET
