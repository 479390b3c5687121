"""Data to learn from: rows become records, records become tokens of which some are learned.

source ──> rows ──> records ──> examples ──> training and validation set
           read     forms       encode       prepare
"""
