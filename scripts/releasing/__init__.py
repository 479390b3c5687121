"""What `scripts/release` does, a part in each file."""
