"""Python's collector of cyclic garbage, set up for thousands of streams that live for minutes.

A full collection looks at every object there is. At 2,000 streams it stops the gateway for half a
second, and by default new streams bring one about every few seconds, though nearly all that a
request leaves behind is freed by counting references.
"""

from __future__ import annotations

import gc

_FULL_AFTER = 1000
"""Collections of the middle generation to a full one; Python's own number is 10."""


def settle() -> None:
    """To be called when everything is loaded: what exists now is never looked at again."""
    gc.collect()
    gc.freeze()
    young, middle, _ = gc.get_threshold()
    gc.set_threshold(young, middle, _FULL_AFTER)
