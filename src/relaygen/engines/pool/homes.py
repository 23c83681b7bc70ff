"""Where each generation lives: its legs stay together, and do not return to what failed them."""

from __future__ import annotations

from collections import OrderedDict

from relaygen.engines.affinity import affinity_of

_NONE: frozenset[str] = frozenset()


class Home:
    """What a pool remembers of one generation.

    Thousands are kept, so that each is as small as can be.

    Attributes:
        generation_id: which; empty: it has none.
        replica: where its last leg was put; None: nowhere yet.
        failed: replicas that broke off a leg of it.
    """

    __slots__ = ("failed", "generation_id", "replica")

    def __init__(self, generation_id: str) -> None:
        self.generation_id = generation_id
        self.replica: str | None = None
        self.failed = _NONE

    @property
    def key(self) -> str:
        """What it shares with generations that should meet it on one replica; empty: nothing."""
        return affinity_of(self.generation_id)


class Homes:
    """The latest generations; one that is forgotten is placed anew, at the cost of its cache."""

    def __init__(self, most: int = 8192) -> None:
        self._most = most
        self._homes: OrderedDict[str, Home] = OrderedDict()

    def __len__(self) -> int:
        return len(self._homes)

    def of(self, generation_id: str) -> Home:
        """The home of a generation; without an id it is a new one each time."""
        if not generation_id:
            return Home("")
        home = self._homes.get(generation_id)
        if home is None:
            home = self._homes[generation_id] = Home(generation_id)
            if len(self._homes) > self._most:
                self._homes.popitem(last=False)
        else:
            self._homes.move_to_end(generation_id)
        return home

    def forget(self, generation_id: str) -> None:
        """It has ended."""
        self._homes.pop(generation_id, None)
