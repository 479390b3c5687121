"""Where the figures of the documentation come from; run from the root of the repository."""
