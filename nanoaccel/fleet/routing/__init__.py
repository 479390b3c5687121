"""Which engine of a cluster a request goes to, from its bytes."""
