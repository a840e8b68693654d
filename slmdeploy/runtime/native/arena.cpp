#include "arena.h"

#include <algorithm>
#include <sys/mman.h>

#include "failure.h"

namespace slmd {

using executorch::runtime::Span;

Arena::Arena(size_t size) : data_(nullptr), size_(size) {
  if (size == 0) return;
  void* pages = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pages == MAP_FAILED) {
    throw Failure{Exit::kModel, "out_of_memory",
                  "The memory plan needs " + std::to_string(size) + " bytes, which are not there.",
                  "Export with a smaller --context, or free memory on the device."};
  }
  data_ = static_cast<uint8_t*>(pages);
}

Arena::~Arena() {
  if (data_ != nullptr) munmap(data_, size_);
}

std::vector<size_t> planned_sizes(const executorch::runtime::MethodMeta& meta) {
  std::vector<size_t> sizes;
  for (size_t i = 0; i < meta.num_memory_planned_buffers(); i++) {
    const auto size = meta.memory_planned_buffer_size(i);
    sizes.push_back(size.ok() ? static_cast<size_t>(size.get()) : 0);
  }
  return sizes;
}

void Arenas::fit(const std::vector<std::vector<size_t>>& sizes_by_method) {
  size_t most[kShared] = {};
  for (const auto& sizes : sizes_by_method) {
    for (size_t i = 0; i < std::min(kShared, sizes.size()); i++) most[i] = std::max(most[i], sizes[i]);
  }
  arenas_.clear();
  arenas_.reserve(kShared);
  for (const size_t size : most) arenas_.emplace_back(size);
}

Span<uint8_t> Arenas::shared(size_t index, size_t size) const { return {arenas_[index].data(), size}; }

}  // namespace slmd
