#include <cstdlib>
#include <cstring>

#include "isa/cpu.h"
#include "isa/path.h"

namespace nanoaccel {

const std::vector<const Path*>& runnable_paths() {
  static const std::vector<const Path*> paths = [] {
    const CpuFeatures cpu = read_cpu_features();
    std::vector<const Path*> found;
    if (cpu.avx512_vnni) found.push_back(&kAvx512VnniPath);
#ifdef NANOACCEL_AVXVNNI
    if (cpu.avx_vnni) found.push_back(&kAvxVnniPath);
#endif
    if (cpu.avx2) found.push_back(&kAvx2Path);
    found.push_back(&kScalarPath);
    return found;
  }();
  return paths;
}

const Path* find_path(const char* name) {
  for (const Path* path : runnable_paths()) {
    if (std::strcmp(path->name, name) == 0) return path;
  }
  return nullptr;
}

const Path* chosen_path() {
  const char* forced = std::getenv("NANOACCEL_ISA");
  if (forced != nullptr && *forced != '\0') return find_path(forced);
  return runnable_paths().front();
}

}  // namespace nanoaccel
