"""Recovery: what 4 bits lost is learned from the original itself."""
