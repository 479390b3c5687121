"""Models run by torch as they are: what cannot be exported, and what tests compare with."""
