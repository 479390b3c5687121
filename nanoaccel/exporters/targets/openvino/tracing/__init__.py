"""From a decoder of transformers to a stateful OpenVINO graph, without a line for any one model.

attention, experts   what a traced model computes with, registered under a name of our own
kernels, loops       its layers with a state: convolutions and recurrences
caches, states       what it keeps from token to token
forward              its forward pass, as a function of tensors
graph                inputs and outputs with names, and the cache as the graph's own state
"""
