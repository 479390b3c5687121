"""What compression costs, in numbers."""
