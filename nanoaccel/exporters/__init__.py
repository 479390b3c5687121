"""Exports models: a model comes in, a bundle goes out. Runs on a workstation."""
