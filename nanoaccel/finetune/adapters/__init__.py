"""Adapters in PEFT's format: made, written, and merged into weights.

attach   peft's layers into a model            merge   adapters into the weights of their base
files    adapter_config.json and the tensors   deltas  what adapters add to one matrix

``nanoaccel.adapters`` reads them.
"""
