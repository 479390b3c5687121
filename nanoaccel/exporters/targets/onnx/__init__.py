"""From an exported OpenVINO graph to an ONNX graph with the same numbers.

    checkpoint -> onnxruntime-genai's builder -> passes: packed tokens -> the compressed weights

Nothing is calibrated here: codes, scales and zero points are those of the OpenVINO graph.
"""
