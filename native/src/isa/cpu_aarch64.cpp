#if defined(__aarch64__)

#include "isa/cpu.h"

#if defined(__APPLE__)
#include <sys/sysctl.h>

#include <cstddef>
#elif defined(_WIN32)
#include <windows.h>
#else
#include <sys/auxv.h>
#endif

namespace nanoaccel {
namespace {

#if defined(__APPLE__)

bool has(const char* name) {
  int value = 0;
  size_t size = sizeof value;
  return sysctlbyname(name, &value, &size, nullptr, 0) == 0 && value != 0;
}

bool has_dot_product() { return has("hw.optional.arm.FEAT_DotProd"); }
bool has_int8_matrix() { return has("hw.optional.arm.FEAT_I8MM"); }

#elif defined(_WIN32)

// Numbers of winnt.h, which older SDKs have not got.
bool has_dot_product() { return IsProcessorFeaturePresent(43) != 0; }
bool has_int8_matrix() { return IsProcessorFeaturePresent(66) != 0; }

#else

// Bits of asm/hwcap.h, which older kernels' headers have not got.
bool has_dot_product() { return (getauxval(AT_HWCAP) & (1UL << 20U)) != 0; }
bool has_int8_matrix() { return (getauxval(AT_HWCAP2) & (1UL << 13U)) != 0; }

#endif

}  // namespace

CpuFeatures read_cpu_features() {
  CpuFeatures found;
  found.dot_product = has_dot_product();
  found.int8_matrix = found.dot_product && has_int8_matrix();
  return found;
}

}  // namespace nanoaccel

#endif
