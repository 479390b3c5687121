"""Makes a draft for a target: from text that the target writes, to a head that guesses it."""
