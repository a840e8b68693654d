#include "threads.h"

#include <sched.h>

#include "failure.h"

// The wheel exports these from libexecutorch_threadpool.so but has no header for them.
namespace executorch::extension::threadpool {
class ThreadPool {
 public:
  size_t get_thread_count() const;
  bool _unsafe_reset_threadpool(uint32_t num_threads);
};
ThreadPool* get_threadpool();
}  // namespace executorch::extension::threadpool

namespace slmd {
namespace {

// Processors in this process's affinity mask: what `nproc` prints.
int64_t allowed_processors() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  return CPU_COUNT(&set);
}

}  // namespace

int64_t set_threads(int64_t wanted) {
  auto* pool = executorch::extension::threadpool::get_threadpool();
  if (pool == nullptr) {
    throw Failure{Exit::kModel, "no_thread_pool", "The thread pool could not be made on this processor."};
  }
  const int64_t threads = wanted > 0 ? wanted : allowed_processors();
  if (static_cast<int64_t>(pool->get_thread_count()) != threads) {
    pool->_unsafe_reset_threadpool(static_cast<uint32_t>(threads));
  }
  return static_cast<int64_t>(pool->get_thread_count());
}

}  // namespace slmd
