"""The HTTP library, set up as servers of models need it."""

from __future__ import annotations

import aiohttp

from relaygen.engines.openai_http.options import HTTPOptions
from relaygen.engines.openai_http.spares import SpareConnector


def new_session(options: HTTPOptions, *, keep: bool) -> aiohttp.ClientSession:
    """A pool of connections on the running loop; `keep`: they are used more than once."""
    headers = {
        "Content-Type": "application/json",
        "Accept-Encoding": "identity",  # nothing to unpack, and nothing that unpacks to more
        **options.headers,
    }
    if options.api_key is not None:
        headers["Authorization"] = f"Bearer {options.api_key}"
    if keep:
        connector: aiohttp.TCPConnector = SpareConnector(idle_s=options.idle_s)
    else:
        connector = aiohttp.TCPConnector(limit=0, force_close=True)
    return aiohttp.ClientSession(
        connector=connector,
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=options.connect_s),
        headers=headers,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
    )
