"""What operators ask: whether it lives, is ready, how it does, on which machine."""
