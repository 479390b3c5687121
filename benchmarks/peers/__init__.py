"""Comparisons with other engines."""
