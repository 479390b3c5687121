"""The command line: one file for each command, and small files for what they share."""
