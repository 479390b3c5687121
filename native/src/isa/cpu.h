// What this CPU and its operating system can run.
#pragma once

namespace nanoaccel {

struct CpuFeatures {
  bool avx2 = false;         // with FMA and F16C
  bool avx_vnni = false;     // 256 bits, VEX
  bool avx512_vnni = false;  // with F, BW, DQ and VL
};

CpuFeatures read_cpu_features();

}  // namespace nanoaccel
