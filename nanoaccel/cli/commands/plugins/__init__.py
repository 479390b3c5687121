"""``nanoaccel plugins``: what others add to it."""
