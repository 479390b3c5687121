"""Adapters of sequences: products of thin matrices beside those of the graph."""
