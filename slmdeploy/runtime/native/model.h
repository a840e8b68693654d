// A program and its loaded methods.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <executorch/extension/memory_allocator/malloc_memory_allocator.h>
#include <executorch/runtime/backend/backend_options_map.h>
#include <executorch/runtime/executor/method.h>
#include <executorch/runtime/executor/program.h>

#include "arena.h"
#include "mapped_file.h"
#include "tensors.h"

namespace slmd {

using BackendMap = executorch::runtime::LoadBackendOptionsMap;

// A method with its inputs' and outputs' buffers, ready to run again and again.
class LoadedMethod {
 public:
  LoadedMethod(const executorch::runtime::Program& program, const std::string& name, Arenas& arenas,
               const BackendMap& backends);
  const std::string& name() const { return name_; }
  const executorch::runtime::MethodMeta& meta() const { return meta_; }
  std::vector<InputTensor>& inputs() { return inputs_; }
  size_t output_count() const { return method_->outputs_size(); }
  // Valid until any method that shares the arenas runs.
  const executorch::runtime::EValue& output(size_t index) const { return method_->get_output(index); }
  // Throws Failure `execution_failed`.
  void run();

 private:
  void make_inputs();
  void place_outputs();

  std::string name_;
  executorch::runtime::MethodMeta meta_;
  std::vector<executorch::runtime::Span<uint8_t>> spans_;
  std::vector<Arena> own_arenas_;
  std::unique_ptr<executorch::runtime::HierarchicalAllocator> planned_;
  executorch::extension::MallocMemoryAllocator method_memory_;
  executorch::extension::MallocMemoryAllocator scratch_memory_;
  std::unique_ptr<executorch::runtime::MemoryManager> manager_;
  std::optional<executorch::runtime::Method> method_;
  std::vector<InputTensor> inputs_;
  std::vector<std::vector<unsigned char>> outputs_;
};

class Model {
 public:
  // Throws Failure `file_not_found`, `file_unreadable` or `bad_model`.
  // `backends` must outlive it.
  Model(const std::string& path, const BackendMap& backends);
  std::vector<std::string> method_names() const;
  bool has_method(const std::string& name) const;
  // Throws Failure `method_missing`, which lists the methods that there are.
  executorch::runtime::MethodMeta meta(const std::string& name) const;
  // Loads methods that share their memory, the mutable buffers among it; emits `load`.
  std::vector<std::unique_ptr<LoadedMethod>> load(const std::vector<std::string>& names);
  // What a method without inputs gives, when it gives one whole number.
  std::optional<int64_t> constant(const std::string& name);

 private:
  std::string path_;
  const BackendMap& backends_;
  std::unique_ptr<MappedFile> loader_;
  std::unique_ptr<executorch::runtime::Program> program_;
  Arenas arenas_;
};

}  // namespace slmd
