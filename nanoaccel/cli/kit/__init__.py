"""What ``nanoaccel plugins new`` writes."""
