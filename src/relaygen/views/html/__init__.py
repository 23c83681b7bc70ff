"""Traces as HTML: one file that holds everything, opens anywhere and asks nobody."""

from relaygen.views.html.assets import asset
from relaygen.views.html.page import trace_page

__all__ = ["asset", "trace_page"]
