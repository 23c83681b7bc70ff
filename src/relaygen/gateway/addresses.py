"""Keeps the addresses of model servers from clients: operators have them in the log."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from relaygen.gateway.replicas import Replicas

_PORTS = {"http": 80, "https": 443}
_TUPLE = re.compile(r"(?<=Connect call failed) \([^()]*\)")
_ANY = re.compile(r"https?://[^\s'\"<>()\[\]]+|\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b")


def without_servers(message: str, replicas: Replicas) -> str:
    """`message`, with the name of its model in the place of each server's address.

    Args:
        message: may be the request's fault; what else it holds stays.
        replicas: whose addresses they are.
    """
    named = {replica.name: f"the {role} model" for role, of in replicas.items() for replica in of}
    for url in sorted(named, key=len, reverse=True):
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
        if parts.port is None:
            host = f"{host}:{_PORTS.get(parts.scheme, 80)}"
        path = r"(?:/[\w./-]*\w)?"
        known = rf"{re.escape(url)}(?!\d){path}|\b{re.escape(host)}(?!\d){path}"
        message = re.sub(known, named[url], message)
    return message


def without_any(message: str, replicas: Replicas) -> str:
    """The same for what is no fault of the request: no address is left, whoever's it is."""
    message = _TUPLE.sub("", without_servers(message, replicas))
    return _ANY.sub("(an address)", message)
