"""Adapters at run time: named, fitted to a graph, and loaded while requests use them.

fit        an adapter to the matrices of a graph     registry   names, and what they stand for
choice     an adapter as a command names it          pool       which adapter is in which slot
"""
