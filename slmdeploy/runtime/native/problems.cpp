#include "problems.h"

#include <algorithm>
#include <cstring>
#include <set>

#include "json.h"
#include "log.h"

namespace slmd {

using executorch::runtime::Error;

const char* error_name(Error error) {
  switch (error) {
    case Error::Ok: return "ok";
    case Error::Internal: return "internal error";
    case Error::InvalidState: return "invalid state";
    case Error::NotSupported: return "not supported";
    case Error::NotImplemented: return "not implemented";
    case Error::InvalidArgument: return "invalid argument";
    case Error::InvalidType: return "invalid type";
    case Error::OperatorMissing: return "operator missing";
    case Error::NotFound: return "not found";
    case Error::MemoryAllocationFailed: return "memory allocation failed";
    case Error::AccessFailed: return "access failed";
    case Error::InvalidProgram: return "invalid program";
    case Error::InvalidExternalData: return "invalid external data";
    case Error::OutOfResources: return "out of resources";
    case Error::DelegateInvalidCompatibility: return "delegate of another version";
    case Error::DelegateMemoryAllocationFailed: return "delegate got no memory";
    case Error::DelegateInvalidHandle: return "invalid delegate handle";
    default: return "error";
  }
}

// A line of the log names one operator, overload included: "... llama::custom_sdpa.out".
std::vector<std::string> missing_operators() {
  std::set<std::string> found;
  for (const std::string& line : logged_errors()) {
    if (line.find("issing operator") == std::string::npos) continue;
    const size_t colons = line.rfind("::");
    if (colons == std::string::npos) continue;
    const size_t start = line.rfind(' ', colons);
    const size_t end = line.find_first_of(" ,", colons);
    found.insert(line.substr(start == std::string::npos ? 0 : start + 1, end == std::string::npos
                                 ? std::string::npos : end - (start == std::string::npos ? 0 : start + 1)));
  }
  return {found.begin(), found.end()};
}

std::string who_brings(const std::vector<std::string>& operators) {
  struct Source {
    const char* prefix;
    const char* sentence;
  };
  static const Source sources[] = {
      {"llama::", "libslmd_kernels_llm.so brings llama:: operators: pass it with --library. "},
      {"quantized_decomposed::", "libexecutorch_kernels_quantized.so brings quantized_decomposed:: operators. "},
      {"torchao::", "No library here brings torchao:: operators: the exporter should have lowered them. "},
      {"aten::", "libexecutorch_kernels_optimized.so brings aten:: operators, but not this one: export it "
                 "into a delegate or decompose it. "},
  };
  std::string out;
  for (const Source& source : sources) {
    const bool used = std::any_of(operators.begin(), operators.end(), [&](const std::string& name) {
      return name.compare(0, strlen(source.prefix), source.prefix) == 0;
    });
    if (used) out += source.sentence;
  }
  if (!out.empty()) out.pop_back();
  return out;
}

// The last error, and where it is only a list of arguments, the one before.
std::string last_logged() {
  const auto& lines = logged_errors();
  const auto tells = std::find_if(lines.rbegin(), lines.rend(),
                                  [](const std::string& line) { return line.compare(0, 4, "arg ") != 0; });
  if (tells == lines.rend()) return "";
  const bool more = tells + 1 != lines.rend();
  return "; it logged: " + (more ? *(tells + 1) + " / " : "") + *tells;
}

namespace {

std::string listed(const std::vector<std::string>& names) {
  std::string out;
  for (const std::string& name : names) out += (out.empty() ? "" : ", ") + name;
  return out;
}

}  // namespace

Failure load_failure(const std::string& method, Error error) {
  const long code = static_cast<long>(error);
  if (error == Error::OperatorMissing) {
    const auto names = missing_operators();
    return {Exit::kModel, "operator_missing",
            "Method '" + method + "' needs operators that no loaded library brings: " + listed(names) + ".",
            who_brings(names), code};
  }
  if (error == Error::MemoryAllocationFailed || error == Error::DelegateMemoryAllocationFailed) {
    return {Exit::kModel, "out_of_memory", "There is not enough memory to load method '" + method + "'.",
            "Export with a smaller --context, or free memory on the device.", code};
  }
  const bool damaged = error == Error::InvalidProgram || error == Error::InvalidExternalData ||
                       error == Error::AccessFailed || error == Error::DelegateInvalidCompatibility;
  return {Exit::kModel, damaged ? "bad_model" : "load_failed",
          "Method '" + method + "' could not be loaded (" + error_name(error) + last_logged() + ").",
          damaged ? "Push the bundle again; if it stays, export it again with this version." : "", code};
}

Failure run_failure(const std::string& method, Error error) {
  return {Exit::kRun, "execution_failed",
          "Method '" + method + "' failed while it ran (" + error_name(error) + last_logged() + ").", "",
          static_cast<long>(error)};
}

}  // namespace slmd
