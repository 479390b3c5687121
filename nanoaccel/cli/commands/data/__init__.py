"""``nanoaccel data``: look at data to learn from, and change its form."""
