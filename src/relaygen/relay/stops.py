"""Stop strings on a stream: found across tokens and segments, with no more text held than needed."""

from __future__ import annotations

from collections.abc import Sequence

from relaygen.errors import InvalidRequestError


class StopMatcher:
    """Finds the first occurrence of any stop string in a text that arrives in pieces.

    Source: the task is mlx-lm's and vLLM's; ours holds back only a tail that may begin a match.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        """Raises `InvalidRequestError` for an empty stop string."""
        if any(not stop for stop in stops):
            raise InvalidRequestError("a stop string is empty; leave it out", param="stop")
        self._stops = tuple(dict.fromkeys(stops))
        self._tail = ""
        self._seen = 0

    def __bool__(self) -> bool:
        return bool(self._stops)

    def feed(self, text: str) -> tuple[int, int | None]:
        """Takes more text.

        Returns:
            ``(safe, cut)``: absolute offsets. Text before `safe` cannot be part of a later match;
            `cut` is where the first stop string begins, or None.
        """
        tail = self._tail + text
        base = self._seen - len(self._tail)
        self._seen += len(text)
        found = [(at + len(s), at) for s in self._stops if (at := tail.find(s)) >= 0]
        if found:
            # The one completed first, whatever the tokens: a function of the text alone.
            cut = base + min(found)[1]
            self._tail = ""
            return cut, cut
        hold = self._longest_prefix_at_end(tail)
        self._tail = tail[len(tail) - hold :]
        return self._seen - hold, None

    def _longest_prefix_at_end(self, tail: str) -> int:
        longest = 0
        for stop in self._stops:
            for size in range(min(len(stop) - 1, len(tail)), longest, -1):
                if tail.endswith(stop[:size]):
                    longest = size
                    break
        return longest
