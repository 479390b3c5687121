// A pool of the calling thread alone, which runs the last part first.
#pragma once

#include "parallel/pool.h"

namespace nanoaccel {

class SerialPool final : public Pool {
 public:
  void run(Part part, size_t parts, void* work) override {
    while (parts > 0) part(work, --parts);
  }
};

}  // namespace nanoaccel
