"""Adapters at run time: read from PEFT's folders, named, and loaded while requests use them.

tensors      a safetensors file as arrays         fit        an adapter to the matrices of a graph
peft_config  adapter_config.json                  registry   names, and what they stand for
folder       both, checked, as low-rank updates   pool       which adapter is in which slot
choice       an adapter as a command names it
"""
