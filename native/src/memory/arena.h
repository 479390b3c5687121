// Memory for packed weights: large blocks on large pages, where the system has them.
#pragma once

#include <cstddef>
#include <memory>

namespace nanoaccel {

// Bytes that live as long as something holds them. Many small matrices share a block, so that
// they take few pages.
class ArenaBytes {
 public:
  ArenaBytes() = default;

  // Zeroed, aligned to 64 bytes. Throws std::bad_alloc.
  static ArenaBytes allocate(size_t size);

  // The same, in a block that nothing else shares: its memory goes with it.
  static ArenaBytes alone(size_t size);

  unsigned char* data() const { return data_; }

 private:
  std::shared_ptr<void> block_;
  unsigned char* data_ = nullptr;
};

}  // namespace nanoaccel
