"""Who calls: API keys, kept as hashes and compared in constant time."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Sequence

from relaygen.gateway.allowance import Allowance
from relaygen.gateway.failures import HttpError
from relaygen.settings import KeySettings


class KeyRing:
    """The keys of a gateway, each with what is left of its allowance."""

    def __init__(self, keys: Sequence[KeySettings], clock: Callable[[], float]) -> None:
        """Takes keys with names of their own; none lets everybody in.

        Args:
            keys: the keys.
            clock: seconds, for rate limits.
        """
        self._allowances = [(key.hash.encode(), Allowance(key, clock)) for key in keys]
        self._anybody = Allowance(None, clock)

    def find(self, authorization: str | None) -> Allowance:
        """The allowance of whoever sent this ``Authorization`` header.

        Every key is compared, whichever fits, so that the time tells nothing.

        Raises:
            HttpError: 401; there is no key, or it is wrong.
        """
        if not self._allowances:
            return self._anybody
        scheme, _, key = (authorization or "").partition(" ")
        key = key.strip()
        if scheme.lower() != "bearer" or not key:
            raise _unauthorised("there is no API key: send the header Authorization: Bearer KEY")
        sent = hash_key(key).encode()
        found = [a for known, a in self._allowances if hmac.compare_digest(known, sent)]
        if not found:
            raise _unauthorised("the API key is not valid: check it")
        return found[0]


def hash_key(key: str) -> str:
    """The form in which a key is kept. Keys are long and random, so a fast hash is enough."""
    return f"sha256:{hashlib.sha256(key.encode()).hexdigest()}"


def _unauthorised(message: str) -> HttpError:
    return HttpError(401, message, code="invalid_api_key", headers={"www-authenticate": "Bearer"})
