// The threads of a session, so that no second pool spins against them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <thread>

#include "ort/tensor.h"
#include "parallel/pool.h"

namespace nanoaccel::ort {

class SessionPool final : public Pool {
 public:
  SessionPool(const Api& api, const KernelContext* context) : api_(api), context_(context) {}

  void run(Part part, size_t parts, void* work) override {
    check(api_.parallel_for(context_, part, parts, 0, work));
  }

 private:
  const Api& api_;
  const KernelContext* context_;
};

// Parts that a work is cut into: more than there are threads, so that each does what it can.
inline int64_t parts_of_a_work() {
  constexpr int64_t kPartsPerThread = 4;
  return kPartsPerThread * static_cast<int64_t>(std::max(1U, std::thread::hardware_concurrency()));
}

}  // namespace nanoaccel::ort
