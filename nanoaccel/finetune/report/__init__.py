"""What a training was and what it reached: a picture, a page, and a file for programs."""
