"""``nanoaccel adapter``: one file a command."""
