// Sixteen float32 at once, with the same result on every machine.
//
// Each lane adds in the order in which the code stands, and whatever is multiplied and added
// is fused, which rounds once: x86-64 with FMA and aarch64 then agree to the last bit. Only an
// x86-64 processor without FMA (before 2013) rounds twice, as XNNPACK does there. The compiler
// must not fuse or reorder anything by itself: -ffp-contract=off, and no fast-math flag.
//
// To be included once a source file, with SLMD_SET defined as a namespace for the
// instruction set of that file; nothing in here may be shared between two of them.
#pragma once

#include <cstdint>
#include <cstring>

#if defined(__FMA__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace slmd::SLMD_SET {

#if defined(__FMA__)
constexpr int kNative = 8;
#else
constexpr int kNative = 4;
#endif
constexpr int kLanes = 16;

using Native = float __attribute__((vector_size(kNative * sizeof(float))));
using NativeBits = int32_t __attribute__((vector_size(kNative * sizeof(float))));
using Four = float __attribute__((vector_size(16)));
using FourPlaces = int32_t __attribute__((vector_size(16)));

// N lanes: halves of halves down to what one register holds. No array, so that the compiler
// keeps all of it in registers.
template <int N>
struct Lanes {
  Lanes<N / 2> low, high;
};
template <>
struct Lanes<kNative> {
  Native v;
};
using Row = Lanes<kLanes>;

// f of each register of the given lanes.
template <int N, typename F, typename... Rest>
inline Lanes<N> map(F f, const Lanes<N>& a, const Rest&... rest) {
  if constexpr (N == kNative) {
    return {f(a.v, rest.v...)};
  } else {
    return {map(f, a.low, rest.low...), map(f, a.high, rest.high...)};
  }
}

inline Native fused(Native a, Native b, Native c) {
#if defined(__FMA__)
  return _mm256_fmadd_ps(a, b, c);
#elif defined(__aarch64__)
  return vfmaq_f32(c, a, b);
#else
  return a * b + c;
#endif
}

template <int N = kLanes>
inline Lanes<N> all(float value) {
  if constexpr (N == kNative) {
    return {value - Native{}};
  } else {
    return {all<N / 2>(value), all<N / 2>(value)};
  }
}

template <int N = kLanes>
inline Lanes<N> load(const float* from) {
  if constexpr (N == kNative) {
    Lanes<N> lanes;
    std::memcpy(&lanes.v, from, sizeof lanes.v);
    return lanes;
  } else {
    return {load<N / 2>(from), load<N / 2>(from + N / 2)};
  }
}

template <int N>
inline void store(const Lanes<N>& lanes, float* to) {
  if constexpr (N == kNative) {
    std::memcpy(to, &lanes.v, sizeof lanes.v);
  } else {
    store(lanes.low, to);
    store(lanes.high, to + N / 2);
  }
}

// The first `count` of a row's lanes, fewer than all; the others are 0. Half a row is what real
// models may leave over; the rest goes in pieces of fixed sizes, as any length would be a call.
inline Row load_part(const float* from, int64_t count) {
  if (count == kLanes / 2) return {load<kLanes / 2>(from), all<kLanes / 2>(0)};
  float lanes[kLanes] = {};
  int64_t done = 0;
  if (count & 8) std::memcpy(lanes, from, 8 * sizeof(float)), done = 8;
  if (count & 4) std::memcpy(lanes + done, from + done, 4 * sizeof(float)), done += 4;
  if (count & 2) std::memcpy(lanes + done, from + done, 2 * sizeof(float)), done += 2;
  if (count & 1) lanes[done] = from[done];
  return load(lanes);
}

// a * b + c.
inline Row fused(const Row& a, const Row& b, const Row& c) {
  return map([](Native x, Native y, Native z) { return fused(x, y, z); }, a, b, c);
}

inline Row sum(const Row& a, const Row& b) {
  return map([](Native x, Native y) { return x + y; }, a, b);
}

inline Row product(const Row& a, const Row& b) {
  return map([](Native x, Native y) { return x * y; }, a, b);
}

inline Row larger(const Row& a, const Row& b) {
  return map([](Native x, Native y) { return x > y ? x : y; }, a, b);
}

// Sixteen lanes to four: lane i, i + 4, i + 8 and i + 12 together, as (0 + 8) + (4 + 12).
inline Four quarter(const Row& row) {
#if defined(__FMA__)
  const Native half = row.low.v + row.high.v;
  return Four(_mm256_castps256_ps128(half)) + Four(_mm256_extractf128_ps(half, 1));
#else
  return (row.low.low.v + row.high.low.v) + (row.low.high.v + row.high.high.v);
#endif
}

// The sums of four rows.
inline Four sums(const Row& a, const Row& b, const Row& c, const Row& d) {
  const Four p = quarter(a), q = quarter(b), r = quarter(c), s = quarter(d);
  const FourPlaces even{0, 4, 1, 5}, odd{2, 6, 3, 7}, first{0, 1, 4, 5}, last{2, 3, 6, 7};
  const Four pq = __builtin_shuffle(p, q, even) + __builtin_shuffle(p, q, odd);
  const Four rs = __builtin_shuffle(r, s, even) + __builtin_shuffle(r, s, odd);
  return __builtin_shuffle(pq, rs, first) + __builtin_shuffle(pq, rs, last);
}

// exp(x) for x <= 0: 2^n times a polynomial in the rest (Taylor to the 7th power, |rest| <=
// ln(2)/2; ln(2) in two parts after Cody and Waite). Relative error below 2e-7; below -87 it
// gives 0, which is what a masked place needs. NaN stays NaN.
inline Native exponential(Native x) {
  const auto of = [](float value) { return value - Native{}; };
  // Added to a small number it leaves no room for a fraction: the sum is rounded to an
  // integer, which then stands in the lowest bits.
  const Native rounding = of(12582912.0f), shifted = fused(x, of(1.44269504f), rounding), n = shifted - rounding;
  const Native r = fused(n, of(2.12194440e-4f), fused(n, of(-0.693359375f), x));
  Native p = of(1.98412698e-4f);
  p = fused(p, r, of(1.38888889e-3f));
  p = fused(p, r, of(8.33333333e-3f));
  p = fused(p, r, of(4.16666667e-2f));
  p = fused(p, r, of(1.66666667e-1f));
  p = fused(p, r, of(0.5f));
  p = fused(p, r, of(1.0f));
  p = fused(p, r, of(1.0f));
  const NativeBits power = (NativeBits(shifted) << 23) + 0x3F800000;
  const NativeBits vanishing = x < of(-87.0f);
  return Native(NativeBits(p * Native(power)) & ~vanishing);
}

}  // namespace slmd::SLMD_SET
