"""Edits of the builder's graph, one a file."""
