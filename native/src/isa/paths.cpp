#include <cstdlib>
#include <cstring>

#include "isa/cpu.h"
#include "isa/path.h"

// NANOACCEL_PATH_...: the build has compiled it, for this architecture.

namespace nanoaccel {

const std::vector<const Path*>& runnable_paths() {
  static const std::vector<const Path*> paths = [] {
    [[maybe_unused]] const CpuFeatures cpu = read_cpu_features();
    std::vector<const Path*> found;
#ifdef NANOACCEL_PATH_AVX512VNNI
    if (cpu.avx512_vnni) found.push_back(&kAvx512VnniPath);
#endif
#ifdef NANOACCEL_PATH_AVXVNNI
    if (cpu.avx_vnni) found.push_back(&kAvxVnniPath);
#endif
#ifdef NANOACCEL_PATH_AVX2
    if (cpu.avx2) found.push_back(&kAvx2Path);
#endif
#ifdef NANOACCEL_PATH_NEON_I8MM
    if (cpu.int8_matrix) found.push_back(&kNeonI8mmPath);
#endif
#ifdef NANOACCEL_PATH_NEON_DOTPROD
    if (cpu.dot_product) found.push_back(&kNeonDotprodPath);
#endif
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
