"""An OpenAI-compatible server over one relay.

`create_app` makes an ASGI application of a `Service`; `drain` ends it without cutting anybody off.
"""

from relaygen.gateway.app import create_app, drain
from relaygen.gateway.keys import hash_key
from relaygen.gateway.logs import JsonLines, log_to
from relaygen.gateway.service import Service

__all__ = [
    "JsonLines",
    "Service",
    "create_app",
    "drain",
    "hash_key",
    "log_to",
]
