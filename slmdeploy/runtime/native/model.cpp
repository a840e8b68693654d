#include "model.h"

#include <algorithm>

#include <executorch/runtime/backend/interface.h>

#include "clock.h"
#include "json.h"
#include "log.h"
#include "model_file.h"
#include "problems.h"

namespace slmd {

using executorch::runtime::Error;
using executorch::runtime::EValue;
using executorch::runtime::HierarchicalAllocator;
using executorch::runtime::MemoryManager;
using executorch::runtime::MethodMeta;
using executorch::runtime::Program;
using executorch::runtime::Tag;

namespace {

void check_backends(const MethodMeta& meta) {
  for (size_t i = 0; i < meta.num_backends(); i++) {
    const auto name = meta.get_backend_name(i);
    if (!name.ok() || executorch::runtime::get_backend_class(*name) != nullptr) continue;
    throw Failure{Exit::kModel, "backend_missing",
                  std::string("Method '") + meta.name() + "' needs the backend " + *name +
                      ", which this runner does not have.",
                  "This runner has XNNPACK: export for a target with that backend."};
  }
}

}  // namespace

LoadedMethod::LoadedMethod(const Program& program, const std::string& name, Arenas& arenas,
                           const BackendMap& backends)
    : name_(name), meta_(program.method_meta(name.c_str()).get()) {
  check_backends(meta_);
  const std::vector<size_t> sizes = planned_sizes(meta_);
  for (size_t i = 0; i < sizes.size(); i++) {
    if (i < Arenas::kShared) {
      spans_.push_back(arenas.shared(i, sizes[i]));
    } else {
      own_arenas_.emplace_back(sizes[i]);
      spans_.push_back({own_arenas_.back().data(), sizes[i]});
    }
  }
  planned_ = std::make_unique<HierarchicalAllocator>(
      executorch::runtime::Span<executorch::runtime::Span<uint8_t>>{spans_.data(), spans_.size()});
  manager_ = std::make_unique<MemoryManager>(&method_memory_, planned_.get(), &scratch_memory_);
  clear_log();
  auto loaded = program.load_method(name_.c_str(), manager_.get(), nullptr, nullptr, &backends);
  if (!loaded.ok()) throw load_failure(name_, loaded.error());
  method_.emplace(std::move(loaded.get()));
  make_inputs();
  place_outputs();
}

void LoadedMethod::make_inputs() {
  for (size_t i = 0; i < meta_.num_inputs(); i++) {
    const auto info = meta_.input_tensor_meta(i);
    if (!info.ok()) {
      throw Failure{Exit::kModel, "bad_model",
                    "Input " + std::to_string(i) + " of method '" + name_ + "' is not a tensor.",
                    "Only tensors can be handed to a method."};
    }
    inputs_.emplace_back(*info);
  }
}

// Outputs that the exporter left out of the plan need memory of ours.
void LoadedMethod::place_outputs() {
  for (size_t i = 0; i < meta_.num_outputs(); i++) {
    outputs_.emplace_back();
    const auto info = meta_.output_tensor_meta(i);
    if (!info.ok() || info->is_memory_planned() || info->nbytes() == 0) continue;
    outputs_.back().resize(info->nbytes());
    // An output that is an input or a constant keeps its own memory; that is no fault.
    (void)method_->set_output_data_ptr(outputs_.back().data(), outputs_.back().size(), i);
  }
}

void LoadedMethod::run() {
  clear_log();
  // Every time: planned inputs are copied into the plan, where they get overwritten.
  for (size_t i = 0; i < inputs_.size(); i++) {
    if (const Error error = method_->set_input(inputs_[i].value(), i); error != Error::Ok) {
      throw run_failure(name_, error);
    }
  }
  if (const Error error = method_->execute(); error != Error::Ok) throw run_failure(name_, error);
}

Model::Model(const std::string& path, const BackendMap& backends) : path_(path), backends_(backends) {
  check_model_file(path);
  const int64_t start = now_ns();
  loader_ = std::make_unique<MappedFile>(path);
  auto program = Program::load(loader_.get(), Program::Verification::InternalConsistency);
  if (!program.ok()) {
    throw Failure{Exit::kModel, "bad_model",
                  "'" + path + "' is damaged or of another version (" + error_name(program.error()) +
                      last_logged() + ").",
                  "Push the bundle again; if it stays, export it again.", static_cast<long>(program.error())};
  }
  program_ = std::make_unique<Program>(std::move(program.get()));
  Event("load").text("phase", "program").text("name", path).number("start_ns", start)
      .number("end_ns", now_ns()).emit();
}

std::vector<std::string> Model::method_names() const {
  std::vector<std::string> names;
  for (size_t i = 0; i < program_->num_methods(); i++) {
    const auto name = program_->get_method_name(i);
    if (name.ok()) names.emplace_back(*name);
  }
  return names;
}

bool Model::has_method(const std::string& name) const {
  const auto names = method_names();
  return std::find(names.begin(), names.end(), name) != names.end();
}

MethodMeta Model::meta(const std::string& name) const {
  const auto meta = program_->method_meta(name.c_str());
  if (meta.ok()) return meta.get();
  std::string known;
  for (const std::string& other : method_names()) known += (known.empty() ? "" : ", ") + other;
  throw Failure{Exit::kModel, "method_missing", "'" + path_ + "' has no method '" + name + "'.",
                "It has: " + known + "."};
}

std::vector<std::unique_ptr<LoadedMethod>> Model::load(const std::vector<std::string>& names) {
  std::vector<std::vector<size_t>> sizes;
  for (const std::string& name : names) sizes.push_back(planned_sizes(meta(name)));
  arenas_.fit(sizes);
  std::vector<std::unique_ptr<LoadedMethod>> methods;
  for (const std::string& name : names) {
    const int64_t start = now_ns();
    methods.push_back(std::make_unique<LoadedMethod>(*program_, name, arenas_, backends_));
    Event("load").text("phase", "method").text("name", name).number("start_ns", start)
        .number("end_ns", now_ns()).emit();
  }
  return methods;
}

std::optional<int64_t> Model::constant(const std::string& name) {
  if (!has_method(name)) return std::nullopt;
  Arenas own;
  own.fit({planned_sizes(meta(name))});
  LoadedMethod method(*program_, name, own, backends_);
  method.run();
  if (method.output_count() != 1) return std::nullopt;
  const EValue& value = method.output(0);
  if (value.isInt()) return value.toInt();
  return std::nullopt;
}

}  // namespace slmd
