"""Ports to listen on."""

from __future__ import annotations

import contextlib
import socket

from relaygen.errors import InvalidRequestError

LOOPBACK = "127.0.0.1"


def free_ports(count: int) -> tuple[int, ...]:
    """Different ports of this machine that nobody listens on now.

    They are not reserved: another program may take one before the server does, which then ends with
    a message that says so.
    """
    with contextlib.ExitStack() as stack:  # all stay taken until the last is found
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((LOOPBACK, 0))
        return tuple(each.getsockname()[1] for each in sockets)


def check_free(host: str, port: int) -> None:
    """Refuses a port that somebody listens on, before minutes go into loading models.

    Raises:
        InvalidRequestError: it is in use, not allowed, or `host` is not an address of this machine.
    """
    try:
        places = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = places[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise InvalidRequestError(
            f"cannot listen on {host}:{port} ({error.strerror or error}); stop what listens there, "
            "or give another --host or --port",
            param="port",
        ) from error


def where_to_ask(host: str) -> str:
    """The address at which a server that listens on `host` can be asked from this machine."""
    return {"0.0.0.0": LOOPBACK, "": LOOPBACK, "::": "::1"}.get(host, host)  # noqa: S104
