"""The 4-bit matrices of a bundle's graphs: read, and written over in place."""
