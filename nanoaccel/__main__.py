"""``python -m nanoaccel`` is the command ``nanoaccel``."""

from nanoaccel.cli.main import run

if __name__ == "__main__":
    run()
