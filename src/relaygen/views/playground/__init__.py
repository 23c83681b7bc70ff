"""The playground: a page on which one asks a gateway, and sees who writes what."""

from relaygen.views.playground.files import HEADERS, files

__all__ = ["HEADERS", "files"]
