#include "args.h"

#include <algorithm>
#include <functional>
#include <limits>
#include <map>

#include "failure.h"
#include "numbers.h"

namespace slmd {
namespace {

[[noreturn]] void refuse(const std::string& message) {
  throw Failure{Exit::kUsage, "bad_argument", message, "docs/runner-protocol.md lists the flags."};
}

int64_t to_int(const std::string& flag, const std::string& text, int64_t least, int64_t most) {
  const auto value = parse_int(text);
  if (!value || *value < least || *value > most) {
    refuse(flag + " takes a whole number from " + std::to_string(least) + " to " +
           std::to_string(most) + ", not '" + text + "'.");
  }
  return *value;
}

double to_real(const std::string& flag, const std::string& text, double least, double most) {
  const auto value = parse_real(text);
  if (!value || !(*value >= least && *value <= most)) {
    refuse(flag + " takes a number from " + std::to_string(least) + " to " + std::to_string(most) +
           ", not '" + text + "'.");
  }
  return *value;
}

std::vector<int64_t> to_numbers(const std::string& flag, const std::string& text, char between) {
  std::vector<int64_t> numbers;
  for (size_t start = 0; start < text.size();) {
    const size_t end = std::min(text.find(between, start), text.size());
    numbers.push_back(to_int(flag, text.substr(start, end - start), 0, INT32_MAX));
    start = end + 1;
  }
  return numbers;
}

std::vector<int64_t> to_ids(const std::string& flag, const std::string& text) {
  return to_numbers(flag, text, ',');
}

// "1x12"; of a tensor without axes the empty text.
std::vector<int64_t> to_shape(const std::string& flag, const std::string& text) {
  return to_numbers(flag, text, 'x');
}

Mode to_mode(const std::string& text) {
  static const std::map<std::string, Mode> modes = {{"generate", Mode::kGenerate},
                                                    {"score", Mode::kScore},
                                                    {"invoke", Mode::kInvoke},
                                                    {"describe", Mode::kDescribe}};
  const auto found = modes.find(text);
  if (found == modes.end()) {
    refuse("--mode is generate, score, invoke or describe, not '" + text + "'.");
  }
  return found->second;
}

using Take = std::function<void(const std::string& flag, const std::string& value)>;

std::map<std::string, Take> flags_with_value(Options& o, bool& has_mode) {
  constexpr int64_t kMany = INT32_MAX;
  auto text = [](std::string& place) {
    return [&place](const std::string&, const std::string& v) { place = v; };
  };
  auto list = [](std::vector<std::string>& place) {
    return [&place](const std::string&, const std::string& v) { place.push_back(v); };
  };
  auto whole = [](int64_t& place, int64_t least, int64_t most) {
    return [&place, least, most](const std::string& f, const std::string& v) {
      place = to_int(f, v, least, most);
    };
  };
  auto real = [](double& place, double least, double most) {
    return [&place, least, most](const std::string& f, const std::string& v) {
      place = to_real(f, v, least, most);
    };
  };
  Sampling& s = o.sampling;
  return {
      {"--mode", [&](const std::string&, const std::string& v) { o.mode = to_mode(v); has_mode = true; }},
      {"--model", text(o.model)},
      {"--library", list(o.libraries)},
      {"--threads", whole(o.threads, 1, 1024)},
      {"--packed-weights", text(o.packed_weights)},
      {"--tokens", text(o.tokens)},
      {"--decode-tail", whole(o.decode_tail, 0, kMany)},
      {"--max-new", whole(o.max_new, 0, kMany)},
      {"--stop", [&](const std::string& f, const std::string& v) { o.stops = to_ids(f, v); }},
      {"--temperature", real(s.temperature, 0, 1e6)},
      {"--top-k", whole(s.top_k, 0, kMany)},
      {"--top-p", real(s.top_p, 0, 1)},
      {"--min-p", real(s.min_p, 0, 1)},
      {"--repetition-penalty", real(s.repetition_penalty, 1e-3, 1e3)},
      {"--seed", whole(s.seed, 0, std::numeric_limits<int64_t>::max())},
      {"--prompt-length", whole(o.prompt_length, 1, kMany)},
      {"--logits", text(o.logits)},
      {"--method", text(o.method)},
      {"--input", list(o.inputs)},
      {"--shape", [&](const std::string& f, const std::string& v) { o.shapes.push_back(to_shape(f, v)); }},
      {"--output-dir", text(o.output_dir)},
      {"--runs", whole(o.runs, 0, kMany)},
      {"--warmup", whole(o.warmup, 0, kMany)},
  };
}

void need(bool given, const char* mode, const char* flag) {
  if (!given) refuse(std::string("--mode ") + mode + " needs " + flag + ".");
}

void check_complete(const Options& o) {
  switch (o.mode) {
    case Mode::kGenerate:
      need(!o.tokens.empty(), "generate", "--tokens");
      need(o.max_new >= 0, "generate", "--max-new");
      break;
    case Mode::kScore:
      need(!o.tokens.empty(), "score", "--tokens");
      need(o.prompt_length > 0, "score", "--prompt-length");
      need(!o.logits.empty(), "score", "--logits");
      break;
    case Mode::kInvoke:
      need(!o.method.empty(), "invoke", "--method");
      need(!o.output_dir.empty(), "invoke", "--output-dir");
      break;
    case Mode::kDescribe:
      break;
  }
}

}  // namespace

Options parse_args(int argc, char** argv) {
  Options options;
  bool has_mode = false;
  const auto flags = flags_with_value(options, has_mode);
  for (int i = 1; i < argc; i++) {
    const std::string flag = argv[i];
    if (flag == "--verbose") {
      options.verbose = true;
    } else if (flag == "--no-shared-weights") {
      options.share_weights = false;
    } else if (const auto found = flags.find(flag); found == flags.end()) {
      refuse("Unknown flag '" + flag + "'.");
    } else if (++i >= argc) {
      refuse(flag + " needs a value.");
    } else {
      found->second(flag, argv[i]);
    }
  }
  if (!has_mode) refuse("--mode is missing.");
  if (options.model.empty()) refuse("--model is missing.");
  check_complete(options);
  return options;
}

}  // namespace slmd
