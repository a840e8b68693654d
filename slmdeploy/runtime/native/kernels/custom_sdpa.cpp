// llama::custom_sdpa.out, with ExecuTorch's name and schema:
//   custom_sdpa.out(Tensor query, Tensor key, Tensor value, SymInt start_pos, Tensor? attn_mask=None,
//                   float drpout_p=0.0, bool is_causal=False, float? scale=None, *, Tensor(a!) out)
// query [B, S, H, D], key and value [B, L, K, D] (the cache), out [B, S, H, D], all float32.
// Query head h reads key head h / (H / K). With is_causal, query s sees places 0 .. start_pos + s;
// with attn_mask [S, L] its values are added to the scores; else every query sees start_pos + S places.
#include <algorithm>
#include <cmath>
#include <vector>

#include <executorch/extension/kernel_util/make_boxed_from_unboxed_functor.h>
#include <executorch/runtime/kernel/kernel_includes.h>
#include <executorch/runtime/kernel/thread_parallel_interface.h>

#include "attention.h"

namespace {

using executorch::aten::optional;
using executorch::aten::ScalarType;
using executorch::aten::Tensor;
using executorch::runtime::Error;
using executorch::runtime::KernelRuntimeContext;

// The loops for this processor; all give the same, if it knows fused multiply-add at all.
slmd::Attend choose() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return slmd::fma::attend;
#endif
  return slmd::baseline::attend;
}

bool is_float(const Tensor& tensor) { return tensor.dim() == 4 && tensor.scalar_type() == ScalarType::Float; }

bool shapes_fit(const Tensor& q, const Tensor& k, const Tensor& v, int64_t start, const Tensor& out) {
  return is_float(q) && is_float(k) && is_float(v) && is_float(out) && k.size(2) > 0 &&
         q.size(0) == k.size(0) && q.size(3) == k.size(3) && q.size(2) % k.size(2) == 0 &&
         k.sizes() == v.sizes() && q.sizes() == out.sizes() && start >= 0 && start + q.size(1) <= k.size(1);
}

bool mask_fits(const optional<Tensor>& mask, const Tensor& q, const Tensor& k, bool causal) {
  if (!mask.has_value()) return true;
  return !causal && mask->dim() == 2 && mask->scalar_type() == ScalarType::Float &&
         mask->size(0) == q.size(1) && mask->size(1) >= k.size(1);
}

Tensor& custom_sdpa_out(KernelRuntimeContext& context, const Tensor& q, const Tensor& k, const Tensor& v,
                        const int64_t start, const optional<Tensor>& mask, const double dropout, const bool causal,
                        const optional<double>& scale, Tensor& out) {
  ET_KERNEL_CHECK_MSG(context, shapes_fit(q, k, v, start, out), InvalidArgument, out,
                      "llama::custom_sdpa: float32 [B, S, H, D] tensors that go together are needed, and a "
                      "start_pos inside the cache; it is %" PRId64, start);
  ET_KERNEL_CHECK_MSG(context, mask_fits(mask, q, k, causal) && dropout == 0.0, InvalidArgument, out,
                      "llama::custom_sdpa: a mask must be float32 [S, L] without is_causal, and dropout 0");
  const slmd::Call call{q.const_data_ptr<float>(), k.const_data_ptr<float>(), v.const_data_ptr<float>(),
                  mask.has_value() ? mask->const_data_ptr<float>() : nullptr, out.mutable_data_ptr<float>(),
                  q.size(1), q.size(2), q.size(3), k.size(1), k.size(2), start,
                  mask.has_value() ? mask->size(1) : 0,
                  scale.has_value() ? static_cast<float>(*scale) : 1.0f / std::sqrt(static_cast<float>(q.size(3))),
                  causal};
  static const slmd::Attend attend = choose();
  const auto work = [&call](int64_t begin, int64_t end) {
    std::vector<float> scratch(static_cast<size_t>(slmd::scratch_floats(call)));
    for (int64_t row = begin; row < end; row++) attend(call, row, scratch.data());
  };
  const int64_t rows = q.size(0) * q.size(1) * q.size(2);
  // Waking the pool costs some microseconds: worth it from about this many places on.
  constexpr int64_t kWorthwhile = 1 << 15;
  const int64_t cost = call.size * (start + q.size(1));
  executorch::extension::parallel_for(0, rows, std::max<int64_t>(1, kWorthwhile / std::max<int64_t>(1, cost)), work);
  return out;
}

}  // namespace

EXECUTORCH_LIBRARY(llama, "custom_sdpa.out", custom_sdpa_out);
