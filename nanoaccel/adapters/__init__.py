"""Adapters in PEFT's format, read and checked without torch, for whoever runs or merges them.

folder       an adapter's folder, as low-rank matrices by module
peft_config  adapter_config.json
tensors      a safetensors file as arrays
"""
