"""What the machine is, and what this process may use of it."""
