"""How a chat template takes the calls of earlier turns."""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha256
from itertools import product

from relaygen.chat.encoding import ChatEncoder
from relaygen.errors import RelayGenError

_PROBE = "probeword"
_SHORT = re.compile("[A-Za-z0-9]{9}")


@dataclass(frozen=True, kw_only=True, slots=True)
class CallHistory:
    """What a template expects of a message with calls.

    Attributes:
        empty_content: an empty text where the message has none; else none.
        arguments_as_text: a call's arguments as JSON text; else an object.
        short_ids: nine letters and digits as the id of a call; else any text.
    """

    empty_content: bool = False
    arguments_as_text: bool = False
    short_ids: bool = False

    @classmethod
    def of(cls, encoder: ChatEncoder) -> CallHistory | None:
        """The first way in which the template shows a call; None if it shows none.

        Source: transformers documents no content and an object; templates in the manner of
        DeepSeek-R1 put the arguments between other strings, many fail without a content, and
        Mistral's refuse an id of another length.
        """
        for short_ids, arguments_as_text, empty_content in product((False, True), repeat=3):
            tried = cls(
                empty_content=empty_content,
                arguments_as_text=arguments_as_text,
                short_ids=short_ids,
            )
            if tried._works(encoder):
                return tried
        return None

    def call_id(self, given: str) -> str:
        """The id of a call as the template takes it; equal ids stay equal."""
        if not self.short_ids or _SHORT.fullmatch(given):
            return given
        return sha256(given.encode(errors="replace")).hexdigest()[:9]

    def _works(self, encoder: ChatEncoder) -> bool:
        arguments = f'{{"{_PROBE}x": 1}}' if self.arguments_as_text else {f"{_PROBE}x": 1}
        call_id = self.call_id("call_0")
        function = {"name": f"{_PROBE}f", "arguments": arguments}
        try:
            prompt = encoder.encode(
                [
                    {"role": "user", "content": "?"},
                    {
                        "role": "assistant",
                        "content": "" if self.empty_content else None,
                        "tool_calls": [{"id": call_id, "type": "function", "function": function}],
                    },
                    {"role": "tool", "content": f"{_PROBE}r", "tool_call_id": call_id},
                ]
            )
        except RelayGenError:
            return False
        return all(f"{_PROBE}{part}" in prompt.text for part in "fxr")
