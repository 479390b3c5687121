"""OpenAI's API as an application of Ray Serve: ``serve run nanoaccel.fleet.serve:app``."""

from nanoaccel.fleet.serve.application import app

__all__ = ["app"]
