"""The server's web page: plain ES modules and CSS, served as they are."""

from nanoaccel.server.page.routes import page_routes

__all__ = ["page_routes"]
