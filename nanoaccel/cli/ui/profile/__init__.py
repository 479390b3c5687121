"""How a profile is shown: tables in the terminal, a page with pictures."""
