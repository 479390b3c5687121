// Threads that share a work.
#pragma once

#include <cstddef>

namespace nanoaccel {

// Threads that run parts of a work, in any order; all are done when ``run`` returns.
class Pool {
 public:
  using Part = void (*)(void* work, size_t index);

  virtual ~Pool() = default;
  virtual void run(Part part, size_t parts, void* work) = 0;
};

}  // namespace nanoaccel
