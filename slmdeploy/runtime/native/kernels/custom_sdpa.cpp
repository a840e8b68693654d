// llama::custom_sdpa.out, with ExecuTorch's name and schema:
//   custom_sdpa.out(Tensor query, Tensor key, Tensor value, SymInt start_pos, Tensor? attn_mask=None,
//                   float drpout_p=0.0, bool is_causal=False, float? scale=None, *, Tensor(a!) out)
// query [B, S, H, D], key and value [B, L, K, D] (the cache), out [B, S, H, D], all float32.
// Query head h reads key head h / (H / K). With is_causal, query s sees places 0 .. start_pos + s;
// with attn_mask [S, L] its values are added to the scores; else every query sees start_pos + S places.
#include <vector>

#include <executorch/extension/kernel_util/make_boxed_from_unboxed_functor.h>
#include <executorch/runtime/kernel/kernel_includes.h>
#include <executorch/runtime/kernel/thread_parallel_interface.h>

#include "attention.h"

// On x86_64 the loops are compiled for three instruction sets, of which the loader takes one.
#if defined(__x86_64__)
#define SLMD_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define SLMD_CLONES
#endif

namespace {

using executorch::aten::optional;
using executorch::aten::ScalarType;
using executorch::aten::Tensor;
using executorch::runtime::Error;
using executorch::runtime::KernelRuntimeContext;

// Everything that one call works on; sizes as in the comment above.
struct Call {
  const float *query, *key, *value, *mask;
  float* out;
  int64_t queries, heads, size, places, key_heads, start, mask_stride;
  float scale;
  bool causal;
};

// One query head at one position; `row` counts them as in the query's layout [B, S, H].
SLMD_CLONES void attend(const Call& call, int64_t row, float* scores) {
  const int64_t head = row % call.heads, s = row / call.heads % call.queries;
  const int64_t batch = row / call.heads / call.queries;
  const int64_t stride = call.key_heads * call.size;
  const int64_t key_head = head / (call.heads / call.key_heads);
  const int64_t origin = batch * call.places * stride + key_head * call.size;
  const int64_t all = call.mask != nullptr ? call.places : call.start + call.queries;
  const int64_t count = call.causal ? call.start + s + 1 : all;
  slmd::dot_keys(call.query + row * call.size, {call.key + origin, stride}, count, call.size, call.scale, scores);
  if (call.mask != nullptr) {
    const float* mask = call.mask + s * call.mask_stride;
    for (int64_t t = 0; t < count; t++) scores[t] += mask[t];
  }
  const float sum = slmd::exponentiate(scores, count);
  float* out = call.out + row * call.size;
  slmd::mix_values(scores, {call.value + origin, stride}, count, call.size, out);
  const float share = sum > 0 ? 1.0f / sum : 0.0f;
  for (int64_t d = 0; d < call.size; d++) out[d] *= share;
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
  const Call call{q.const_data_ptr<float>(), k.const_data_ptr<float>(), v.const_data_ptr<float>(),
                  mask.has_value() ? mask->const_data_ptr<float>() : nullptr, out.mutable_data_ptr<float>(),
                  q.size(1), q.size(2), q.size(3), k.size(1), k.size(2), start,
                  mask.has_value() ? mask->size(1) : 0,
                  scale.has_value() ? static_cast<float>(*scale) : 1.0f / std::sqrt(static_cast<float>(q.size(3))),
                  causal};
  const auto work = [&call](int64_t begin, int64_t end) {
    std::vector<float> scores(static_cast<size_t>(call.places));
    for (int64_t row = begin; row < end; row++) attend(call, row, scores.data());
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
