"""Which slot of a llama-server a leg goes to.

A slot keeps the keys and values of one sequence. A generation that comes back to its own slot has
its prefix there; a request for a busy slot waits for it, even if others are free.
"""

from __future__ import annotations

from collections import OrderedDict

ANY = -1
"""llama-server picks the slot itself: the one with the longest common prefix."""


class Slots:
    """The slots of one server, as far as one engine uses them."""

    def __init__(self, count: int) -> None:
        self._owner: OrderedDict[int, str] = OrderedDict((slot, "") for slot in range(count))
        self._busy: set[int] = set()

    def take(self, generation_id: str) -> int:
        """The generation's slot, or else the one unused for longest; `ANY` where all are busy."""
        free = [slot for slot in self._owner if slot not in self._busy]
        if not generation_id or not free:
            return ANY
        own = [slot for slot in free if self._owner[slot] == generation_id]
        slot = own[0] if own else free[0]
        self._owner[slot] = generation_id
        self._owner.move_to_end(slot)
        self._busy.add(slot)
        return slot

    def give_back(self, slot: int) -> None:
        """The leg is over; what it read stays in the slot."""
        self._busy.discard(slot)
