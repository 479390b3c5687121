"""Measures what compression costs."""
