"""What carries requests: sockets and their care, or a call within this process."""
