"""The bundle's model in torch, whose 4-bit matrices learn from the original."""
