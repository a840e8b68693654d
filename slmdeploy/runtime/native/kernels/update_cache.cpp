// llama::update_cache.out, with ExecuTorch's name and schema:
//   update_cache.out(Tensor value, Tensor(a!) cache, SymInt start_pos, *, Tensor(b!) out) -> Tensor(b!)
// value [B, S, H, D] is written into cache [B, L, H, D] at places start_pos .. start_pos + S.
// `out` only exists so that the operator gives something back; nothing is written to it.
#include <cstring>

#include <executorch/extension/kernel_util/make_boxed_from_unboxed_functor.h>
#include <executorch/runtime/kernel/kernel_includes.h>

namespace {

using executorch::aten::Tensor;
using executorch::runtime::Error;
using executorch::runtime::KernelRuntimeContext;

bool fits(const Tensor& value, const Tensor& cache, int64_t start) {
  return value.dim() == 4 && cache.dim() == 4 && value.scalar_type() == cache.scalar_type() &&
         value.size(0) == cache.size(0) && value.size(2) == cache.size(2) && value.size(3) == cache.size(3) &&
         start >= 0 && start + value.size(1) <= cache.size(1);
}

Tensor& update_cache_out(KernelRuntimeContext& context, const Tensor& value, Tensor& cache, const int64_t start,
                         Tensor& out) {
  ET_KERNEL_CHECK_MSG(context, fits(value, cache, start), InvalidArgument, out,
                      "llama::update_cache: value does not fit the cache at start_pos %" PRId64, start);
  const size_t row = static_cast<size_t>(value.size(2)) * value.size(3) * value.element_size();
  const size_t length = row * value.size(1);
  const char* from = value.const_data_ptr<char>();
  char* to = cache.mutable_data_ptr<char>() + static_cast<size_t>(start) * row;
  for (int64_t b = 0; b < value.size(0); b++) {
    std::memcpy(to + static_cast<size_t>(b) * cache.size(1) * row, from + static_cast<size_t>(b) * length, length);
  }
  return out;
}

}  // namespace

EXECUTORCH_LIBRARY(llama, "update_cache.out", update_cache_out);
