"""Changes to an exported graph, one a file: each takes a model, edits it and says how often."""
