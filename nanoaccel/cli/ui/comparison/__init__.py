"""How a comparison of two models is shown: a summary, and a page."""
