"""Takes tool calls out of an answer while it is written.

A call is given out whole, once its closing tag has been read and it has parsed: what was sent to a
client cannot be taken back, and a malformed call must stay what it is, text. Nothing else waits but
white space and what may begin a call; white space around calls belongs to them.

Source: the task is that of vLLM's and SGLang's tool parsers, which send the arguments as they
come; ours prefers never to send half a call.
"""

from __future__ import annotations

from relaygen.chat.tool_calls.format import Offered, ToolCall, ToolCallFormat


class ToolCallParser:
    """Text in, text and calls out; the text that is no call comes out unchanged."""

    def __init__(self, known: ToolCallFormat, offered: Offered, *, most: int | None = None) -> None:
        """Begins an answer.

        Args:
            known: the model's format.
            offered: the functions; a call of another one stays text.
            most: calls to give out; later ones are left out. None: all.
        """
        self._format = known
        self._offered = offered
        self._left = most
        self._closable = known.closable()
        self._held = ""
        self._body: int | None = None  # where in the held text a call's body begins
        self._seen = 0  # the closing tag does not begin before this
        self._after_call = False

    def feed(self, text: str) -> list[str | ToolCall]:
        """Takes more text; returns what is certain now, in order."""
        self._held += text
        out: list[str | ToolCall] = []
        while self._body is not None or self._open(out):
            if not self._close(out):
                break
        return out

    def finish(self) -> list[str | ToolCall]:
        """The rest. A call whose closing tag is missing counts if it is otherwise whole."""
        rest, body = self._held, self._body
        self._held, self._body = "", None
        if body is not None and (calls := self._parse(rest[body:])):
            return list(self._allowed(calls))
        if self._after_call and not rest.strip():
            return []
        return [rest] if rest else []

    def _open(self, out: list[str | ToolCall]) -> bool:
        """Looks for a call; text before it is certain."""
        opening = self._format.opening
        at = self._held.find(opening)
        end = at if at >= 0 else len(self._held) - _begun(self._held, opening)
        certain = self._held[:end].rstrip()
        if certain:
            out.append(certain)
            self._after_call = False
            self._held = self._held[len(certain) :]
        if at < 0:
            return False
        self._body = self._seen = at - len(certain) + len(opening)
        self._closable = self._format.closable()
        return True

    def _close(self, out: list[str | ToolCall]) -> bool:
        """Looks for the end of the call that is open."""
        body, closing = self._body or 0, self._format.closing
        mark = closing or self._format.opening
        while (at := self._held.find(mark, self._seen)) >= 0:
            if self._closable(self._held[body:at]):
                break
            self._seen = at + len(mark)  # it stands inside an argument
        else:
            self._seen = max(self._seen, len(self._held) - len(mark) + 1)
            return False
        end = at + len(closing)
        calls = self._parse(self._held[body:at])
        if calls is None:
            out.append(self._held[:end])
        else:
            out.extend(self._allowed(calls))
        self._after_call = calls is not None
        self._held = self._held[end:]
        self._body = None
        return True

    def _allowed(self, calls: list[ToolCall]) -> list[ToolCall]:
        if self._left is not None:
            calls = calls[: self._left]
            self._left -= len(calls)
        return calls

    def _parse(self, body: str) -> list[ToolCall] | None:
        calls = self._format.parse(body, self._offered)
        if calls is None or any(call.name not in self._offered for call in calls):
            return None
        return calls


def _begun(text: str, tag: str) -> int:
    """How many characters at the end of `text` may begin `tag`."""
    sizes = range(min(len(tag) - 1, len(text)), 0, -1)
    return next((size for size in sizes if text.endswith(tag[:size])), 0)
