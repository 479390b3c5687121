"""Rewrites a GGUF file at Q4_0 with llama.cpp's own quantizer; runs where llama_cpp is installed.

python benchmarks/harness/llama_quantize.py IN.gguf OUT.gguf
"""

from __future__ import annotations

import sys

import llama_cpp


def main(source: str, out: str) -> None:
    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype = llama_cpp.LLAMA_FTYPE_MOSTLY_Q4_0
    params.allow_requantize = True
    if llama_cpp.llama_model_quantize(source.encode(), out.encode(), params) != 0:
        raise SystemExit(f"llama.cpp cannot quantize {source}")


if __name__ == "__main__":
    main(*sys.argv[1:])
