"""Traces as HTML: one file that holds everything, opens anywhere and asks nobody."""

from relaygen.views.html.assets import MODULES, asset, script
from relaygen.views.html.page import trace_page

__all__ = ["MODULES", "asset", "script", "trace_page"]
