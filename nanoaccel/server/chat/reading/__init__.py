"""From the text of a completion to its parts, piece by piece."""
