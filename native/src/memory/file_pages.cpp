#include "memory/file_pages.h"

#ifdef __linux__
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#endif

namespace nanoaccel {

#ifdef __linux__

namespace {

constexpr uintptr_t kPiece = 512;  // pages that are looked up at a time

// Of /proc/self/pagemap, https://docs.kernel.org/admin-guide/mm/pagemap.html. A page that was
// written to in a private mapping is no page of a file any more.
bool is_file_page(uint64_t entry) {
  constexpr uint64_t kPresent = uint64_t{1} << 63U;
  constexpr uint64_t kFile = uint64_t{1} << 61U;
  return (entry & (kPresent | kFile)) == (kPresent | kFile);
}

void release_runs(const uint64_t* entries, uintptr_t count, uintptr_t first, uintptr_t page) {
  for (uintptr_t i = 0; i < count;) {
    uintptr_t end = i;
    while (end < count && is_file_page(entries[end])) ++end;
    if (end > i)
      madvise(reinterpret_cast<void*>((first + i) * page), (end - i) * page, MADV_DONTNEED);
    i = end + 1;
  }
}

}  // namespace

void release_file_pages(const void* memory, size_t size) {
  const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const auto begin = reinterpret_cast<uintptr_t>(memory);
  uintptr_t first = (begin + page - 1) / page;
  const uintptr_t last = (begin + size) / page;
  if (first >= last) return;
  const int map = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
  if (map < 0) return;
  uint64_t entries[kPiece];
  while (first < last) {
    const size_t wanted = std::min(kPiece, last - first) * sizeof(uint64_t);
    const ssize_t got = pread(map, entries, wanted, static_cast<off_t>(first * sizeof(uint64_t)));
    if (got < static_cast<ssize_t>(wanted)) break;
    release_runs(entries, wanted / sizeof(uint64_t), first, page);
    first += wanted / sizeof(uint64_t);
  }
  close(map);
}

#else

void release_file_pages(const void*, size_t) {}

#endif

}  // namespace nanoaccel
