// Chooses the next token. The same logits, settings and seed give the same token on
// every machine: nothing here depends on the C library's exp or on fused operations.
#pragma once

#include <cstdint>
#include <vector>

namespace slmd {

struct Sampling {
  double temperature = 0;  // 0: greedy
  int64_t top_k = 0;       // 0: all
  double top_p = 1;        // 1: all
  double min_p = 0;        // 0: all
  double repetition_penalty = 1;
  int64_t seed = 0;
};

// xoshiro256** 1.0 by Blackman and Vigna, seeded by Vigna's splitmix64; both are in the
// public domain (prng.di.unimi.it). Written from the published description.
class Random {
 public:
  explicit Random(uint64_t seed);
  uint64_t next();
  double uniform();  // in [0, 1), 53 bits

 private:
  uint64_t state_[4];
};

// exp(x) for x <= 0, by IEEE additions and multiplications alone; relative error < 1e-15.
double portable_exp(double x);

class Sampler {
 public:
  Sampler(const Sampling& settings, int64_t vocabulary);
  // Counts a token of the prompt or the answer for the repetition penalty.
  void saw(int64_t id);
  // Throws Failure `bad_logits` when a logit is not a number.
  int64_t pick(const float* logits);

 private:
  struct Candidate {
    double value;  // logit, later its share
    int64_t id;
  };
  double penalized(const float* logits, int64_t id) const;
  int64_t greedy(const float* logits) const;
  void keep_top_k(std::vector<Candidate>& all) const;
  void keep_top_p(std::vector<Candidate>& all) const;
  void keep_min_p(std::vector<Candidate>& all) const;
  int64_t draw(std::vector<Candidate>& kept);

  Sampling settings_;
  int64_t vocabulary_;
  std::vector<bool> seen_;
  Random random_;
};

}  // namespace slmd
