// What this CPU and its operating system can run.
#pragma once

namespace nanoaccel {

struct CpuFeatures {
  bool avx2 = false;         // with FMA and F16C
  bool avx_vnni = false;     // 256 bits, VEX
  bool avx512_vnni = false;  // with F, BW, DQ and VL
  bool dot_product = false;  // of AArch64
  bool int8_matrix = false;  // of AArch64, with dot products
};

CpuFeatures read_cpu_features();

}  // namespace nanoaccel
