"""The bundles behind the server."""
