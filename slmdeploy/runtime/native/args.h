// The command line.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sampler.h"

namespace slmd {

enum class Mode { kGenerate, kScore, kInvoke, kDescribe };

struct Options {
  Mode mode = Mode::kDescribe;
  std::string model;
  std::vector<std::string> libraries;
  int64_t threads = 0;  // 0: as many as this process may run on
  bool share_weights = true;
  std::string packed_weights;  // file that keeps packed weights; empty for none
  bool verbose = false;
  // generate and score
  std::string tokens;
  int64_t decode_tail = 0;
  // generate
  int64_t max_new = -1;
  std::vector<int64_t> stops;
  Sampling sampling;
  // score
  int64_t prompt_length = -1;
  std::string logits;
  // invoke
  std::string method;
  std::vector<std::string> inputs;
  std::vector<std::vector<int64_t>> shapes;  // none, or one per input
  std::string output_dir;
  int64_t runs = 1;
  int64_t warmup = 0;
};

// Throws Failure `bad_argument` for an unknown flag, a missing or a wrong value.
Options parse_args(int argc, char** argv);

}  // namespace slmd
