#include "memory/arena.h"

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <new>

#ifdef __linux__
#include <sys/mman.h>
#elif defined(_WIN32)
#include <malloc.h>
#endif

namespace nanoaccel {
namespace {

constexpr size_t kPage = size_t{2} << 20;
constexpr size_t kBlock = size_t{16} << 20;
constexpr size_t kAlignment = 64;

size_t round_up(size_t size, size_t unit) { return (size + unit - 1) / unit * unit; }

#ifdef __linux__

// Zeros, which the system makes page by page when they are first used.
std::shared_ptr<void> new_block(size_t size) {
  const size_t mapped = size + kPage;  // with what aligns it, which is never used
  void* memory = mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  const auto address = reinterpret_cast<uintptr_t>(memory);
  void* aligned = reinterpret_cast<void*>(round_up(address, kPage));
  madvise(aligned, size, MADV_HUGEPAGE);
  return {aligned, [memory, mapped](void*) { munmap(memory, mapped); }};
}

#else
#ifdef _WIN32
void* allocate_pages(size_t size) { return _aligned_malloc(size, kPage); }
void free_pages(void* memory) { _aligned_free(memory); }
#else
void* allocate_pages(size_t size) { return std::aligned_alloc(kPage, size); }
void free_pages(void* memory) { std::free(memory); }
#endif

std::shared_ptr<void> new_block(size_t size) {
  void* memory = allocate_pages(size);
  if (memory == nullptr) throw std::bad_alloc();
  std::memset(memory, 0, size);
  return {memory, free_pages};
}

#endif

// The block that the next small piece comes from. It goes when the last piece of it does.
struct Current {
  std::mutex mutex;
  std::weak_ptr<void> block;
  size_t used = 0;
};

Current& current() {
  static Current* const one = new Current;  // outlives the sessions that close at exit
  return *one;
}

}  // namespace

ArenaBytes ArenaBytes::allocate(size_t size) {
  const size_t needed = round_up(size, kAlignment);
  if (needed >= kBlock / 2) return alone(needed);
  ArenaBytes bytes;
  Current& shared = current();
  const std::lock_guard<std::mutex> lock(shared.mutex);
  bytes.block_ = shared.block.lock();
  if (bytes.block_ == nullptr || shared.used + needed > kBlock) {
    bytes.block_ = new_block(kBlock);
    shared.block = bytes.block_;
    shared.used = 0;
  }
  bytes.data_ = static_cast<unsigned char*>(bytes.block_.get()) + shared.used;
  shared.used += needed;
  return bytes;
}

ArenaBytes ArenaBytes::alone(size_t size) {
  ArenaBytes bytes;
  bytes.block_ = new_block(round_up(size, kPage));
  bytes.data_ = static_cast<unsigned char*>(bytes.block_.get());
  return bytes;
}

}  // namespace nanoaccel
