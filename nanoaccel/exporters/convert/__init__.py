"""Conversions between what NanoAccel, llama.cpp, optimum-intel and onnxruntime-genai read."""
