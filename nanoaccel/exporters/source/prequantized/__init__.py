"""Checkpoints that come quantized: GPTQ, AWQ, compressed-tensors, bitsandbytes and MXFP4.

Their files are read here; none of the packages that wrote them is needed. Where a layer's integers
are 4-bit and lie on a plain grid they go into the graph as they are, so that what was paid for in
calibration is not rounded a second time:

    config.json  --find_quantization-->  Checkpoint
    *.safetensors  --load_quantized-->  torch model (dequantized)  +  PackedWeight by module name
    traced graph  --insert.insert_packed-->  graph whose projections hold the checkpoint's integers
"""

from nanoaccel.exporters.source.prequantized.checkpoint import Checkpoint, detect, find_quantization
from nanoaccel.exporters.source.prequantized.load import load_quantized
from nanoaccel.exporters.source.prequantized.packed import PackedWeight

__all__ = ["Checkpoint", "PackedWeight", "detect", "find_quantization", "load_quantized"]
