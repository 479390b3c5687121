"""Batch files on the nodes of a Ray cluster."""
