"""Training: of drafts, on what their target writes."""
