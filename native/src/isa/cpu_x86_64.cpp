#if defined(__x86_64__)

#include <cpuid.h>

#include <cstdint>

#include "isa/cpu.h"

namespace nanoaccel {
namespace {

struct Registers {
  uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
};

Registers cpuid(uint32_t leaf, uint32_t subleaf) {
  Registers r;
  __get_cpuid_count(leaf, subleaf, &r.eax, &r.ebx, &r.ecx, &r.edx);
  return r;
}

bool has(uint32_t value, unsigned bit) { return ((value >> bit) & 1U) != 0; }

// Register states that the operating system saves.
uint64_t saved_states() {
  uint32_t low = 0;
  uint32_t high = 0;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (static_cast<uint64_t>(high) << 32U) | low;
}

}  // namespace

CpuFeatures read_cpu_features() {
  constexpr uint64_t kYmm = 0x6;
  constexpr uint64_t kZmm = 0xe6;
  CpuFeatures found;
  const Registers first = cpuid(1, 0);
  const bool osxsave = has(first.ecx, 27);
  const uint64_t states = osxsave ? saved_states() : 0;
  const Registers seventh = cpuid(7, 0);
  const bool fma = has(first.ecx, 12);
  const bool f16c = has(first.ecx, 29);
  found.avx2 = (states & kYmm) == kYmm && fma && f16c && has(seventh.ebx, 5);
  found.avx_vnni = found.avx2 && seventh.eax >= 1 && has(cpuid(7, 1).eax, 4);
  const bool foundation = has(seventh.ebx, 16) && has(seventh.ebx, 17);
  const bool byte_and_length = has(seventh.ebx, 30) && has(seventh.ebx, 31);
  found.avx512_vnni = found.avx2 && (states & kZmm) == kZmm && foundation && byte_and_length &&
                      has(seventh.ecx, 11);
  return found;
}

}  // namespace nanoaccel

#endif
