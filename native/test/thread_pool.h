// Threads that are made for one work, so that the thread sanitizer sees them all.
#pragma once

#include <atomic>
#include <thread>
#include <vector>

#include "parallel/pool.h"

namespace nanoaccel::test {

class ThreadPool final : public Pool {
 public:
  void run(Part part, size_t parts, void* work) override {
    std::atomic<size_t> next{0};
    const auto take = [&] {
      for (size_t i = next++; i < parts; i = next++) part(work, i);
    };
    std::vector<std::thread> threads;
    for (int i = 0; i < 3; ++i) threads.emplace_back(take);
    for (std::thread& thread : threads) thread.join();
  }
};

}  // namespace nanoaccel::test
