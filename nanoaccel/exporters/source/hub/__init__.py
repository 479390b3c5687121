"""Models of the hub: what of a repository is wanted, and how it comes here."""
