"""Reads and writes .onnx files without the onnx package, as far as it is needed here."""
