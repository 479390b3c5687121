"""Trains drafts on text that their target writes."""
