"""Parts of an OpenVINO graph that become one operator of ONNX Runtime, or a few.

products     with stored matrices, and rows of embeddings
norms        over the last axis, with the sums that they are taken of
attention    over the cache, with its window and rotation
experts      a mixture of them
"""
