"""Operators of OpenVINO as those of ONNX: one function for each, or for several that are alike.

arithmetic   number by number
moves        numbers as they are, in other places
rows         along an axis: sums, softmax, the largest, products
table        all of them by name
"""
