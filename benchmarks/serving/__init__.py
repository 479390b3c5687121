"""What the server costs and what it stands: real processes, real sockets, real bundles."""
