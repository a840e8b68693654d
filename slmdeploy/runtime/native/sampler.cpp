#include "sampler.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "failure.h"

namespace slmd {
namespace {

uint64_t rotate_left(uint64_t x, int bits) { return (x << bits) | (x >> (64 - bits)); }

}  // namespace

Random::Random(uint64_t seed) {
  for (uint64_t& word : state_) {
    seed += 0x9E3779B97F4A7C15u;
    uint64_t z = seed;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    word = z ^ (z >> 31);
  }
}

uint64_t Random::next() {
  const uint64_t result = rotate_left(state_[1] * 5, 7) * 9;
  const uint64_t shifted = state_[1] << 17;
  state_[2] ^= state_[0];
  state_[3] ^= state_[1];
  state_[1] ^= state_[2];
  state_[0] ^= state_[3];
  state_[2] ^= shifted;
  state_[3] = rotate_left(state_[3], 45);
  return result;
}

double Random::uniform() { return static_cast<double>(next() >> 11) * 0x1p-53; }

// exp(x) = 2^k exp(r) with |r| <= ln(2)/2 and exp(r) by its Taylor series to the 13th
// power, whose rest is below 1e-17. ln(2) is split in two so that r is exact enough.
double portable_exp(double x) {
  if (x < -700) return 0;
  const double k = std::floor(x * 1.4426950408889634 + 0.5);
  const double r = (x - k * 0.693147180369123816490) - k * 1.90821492927058770002e-10;
  double sum = 1;
  for (int power = 13; power >= 1; power--) sum = 1 + sum * r / power;
  return std::ldexp(sum, static_cast<int>(k));
}

Sampler::Sampler(const Sampling& settings, int64_t vocabulary)
    : settings_(settings),
      vocabulary_(vocabulary),
      seen_(static_cast<size_t>(vocabulary), false),
      random_(static_cast<uint64_t>(settings.seed)) {}

void Sampler::saw(int64_t id) { seen_[static_cast<size_t>(id)] = true; }

// Keskar et al. 2019, arXiv 1909.05858: a token that occurred becomes less likely whatever
// the sign of its logit.
double Sampler::penalized(const float* logits, int64_t id) const {
  const double value = logits[id];
  if (std::isnan(value) || value == HUGE_VAL) {
    throw Failure{Exit::kRun, "bad_logits",
                  "The logit of token " + std::to_string(id) + " is not a finite number.",
                  "slmdeploy verify finds the step that broke."};
  }
  if (!seen_[static_cast<size_t>(id)]) return value;
  return value > 0 ? value / settings_.repetition_penalty : value * settings_.repetition_penalty;
}

namespace {

// Likelier first; of equals the smaller id.
template <typename C>
bool before(const C& a, const C& b) {
  return a.value > b.value || (a.value == b.value && a.id < b.id);
}

template <typename C>
void sort_by_id(std::vector<C>& kept) {
  std::sort(kept.begin(), kept.end(), [](const C& a, const C& b) { return a.id < b.id; });
}

}  // namespace

void Sampler::keep_top_k(std::vector<Candidate>& all) const {
  const auto k = static_cast<size_t>(settings_.top_k);
  if (k == 0 || k >= all.size()) return;
  std::nth_element(all.begin(), all.begin() + static_cast<long>(k) - 1, all.end(), before<Candidate>);
  all.resize(k);
  sort_by_id(all);
}

// The smallest set whose shares sum to top_p (Holtzman et al. 2019, arXiv 1904.09751).
void Sampler::keep_top_p(std::vector<Candidate>& all) const {
  if (settings_.top_p >= 1) return;
  double total = 0;
  for (const Candidate& c : all) total += c.value;
  // Tokens below this share sum to less than 1 - top_p together, so none of them can be
  // in the set: they need not be sorted.
  const double least = (1 - settings_.top_p) / static_cast<double>(all.size()) * total;
  std::vector<Candidate> kept;
  for (const Candidate& c : all) {
    if (c.value >= least) kept.push_back(c);
  }
  std::sort(kept.begin(), kept.end(), before<Candidate>);
  double sum = 0;
  size_t count = 0;
  while (count < kept.size() && (count == 0 || sum < settings_.top_p * total)) sum += kept[count++].value;
  kept.resize(count);
  sort_by_id(kept);
  all.swap(kept);
}

void Sampler::keep_min_p(std::vector<Candidate>& all) const {
  if (settings_.min_p <= 0) return;
  double most = 0;
  for (const Candidate& c : all) most = std::max(most, c.value);
  const double least = settings_.min_p * most;
  all.erase(std::remove_if(all.begin(), all.end(), [&](const Candidate& c) { return c.value < least; }),
            all.end());
}

int64_t Sampler::draw(std::vector<Candidate>& kept) {
  double total = 0;
  for (const Candidate& c : kept) total += c.value;
  const double mark = random_.uniform() * total;
  double sum = 0;
  for (const Candidate& c : kept) {
    sum += c.value;
    if (sum > mark) return c.id;
  }
  return kept.back().id;
}

int64_t Sampler::greedy(const float* logits) const {
  Candidate best{penalized(logits, 0), 0};
  for (int64_t id = 1; id < vocabulary_; id++) {
    const double value = penalized(logits, id);
    if (value > best.value) best = {value, id};
  }
  return best.id;
}

int64_t Sampler::pick(const float* logits) {
  const int64_t likeliest = greedy(logits);
  if (settings_.temperature <= 0) return likeliest;
  std::vector<Candidate> all(static_cast<size_t>(vocabulary_));
  for (int64_t id = 0; id < vocabulary_; id++) all[static_cast<size_t>(id)] = {penalized(logits, id), id};
  const double most = all[static_cast<size_t>(likeliest)].value;
  keep_top_k(all);
  for (Candidate& c : all) c.value = portable_exp((c.value - most) / settings_.temperature);
  keep_top_p(all);
  keep_min_p(all);
  return draw(all);
}

}  // namespace slmd
