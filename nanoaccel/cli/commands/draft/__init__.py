"""``nanoaccel draft``: one file a command."""
