"""From what is asked to completions on their way."""
