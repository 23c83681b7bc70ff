"""What to do when a server does not start, from its last words."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterable

_KNOWN: tuple[tuple[str, str], ...] = (
    (
        r"address already in use|couldn't bind|port \S+ is in use",
        "another program took its port; start again, or give another --port",
    ),
    (
        r"no available memory for the cache blocks|free memory on device|KV cache is needed",
        "the GPU has too little free memory; see nvidia-smi, lower --context-tokens, or take "
        "smaller models",
    ),
    (
        r"out of memory|failed to allocate|unable to allocate|bad_alloc",
        "memory ran out; lower --context-tokens or --slots, or take smaller models",
    ),
    (
        r"unrecognized arguments?|invalid argument|unknown argument|no such option",
        "it does not know the flag that its lines name; correct it if it is yours (after --, or in "
        "--large-flag or --small-flag), else update the server",
    ),
    (
        r"No module named|ModuleNotFoundError",
        "something it needs is not installed; see the line above",
    ),
    (
        r"unknown model architecture|architectures? .* (?:not|are not) supported|failed to load model",
        "this version of the server does not know the model, or the file is damaged; update the "
        "server, or download the file again",
    ),
)


def advise(runs: str, lines: Iterable[str]) -> str:
    """A remedy.

    Args:
        runs: what program failed.
        lines: its last lines.
    """
    text = "\n".join(lines)
    for pattern, remedy in _KNOWN:
        if re.search(pattern, text, re.IGNORECASE):
            return remedy
    return f"its lines above say why; `relaygen launch --dry-run` shows how {runs} is started"


def how_it_ended(code: int) -> str:
    """An exit code in words."""
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    by_kernel = " (by the kernel, if memory ran out)" if name == "SIGKILL" else ""
    return f"was ended by {name}{by_kernel}"
