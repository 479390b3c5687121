"""Questions about our own engine."""
