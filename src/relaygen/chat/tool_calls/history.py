"""How a chat template takes the calls of earlier turns."""

from __future__ import annotations

from dataclasses import dataclass

from relaygen.chat.encoding import ChatEncoder
from relaygen.errors import RelayGenError

_PROBE = "probeword"


@dataclass(frozen=True, kw_only=True, slots=True)
class CallHistory:
    """What a template expects of a message with calls.

    Attributes:
        empty_content: an empty text where the message has none; else null.
        arguments_as_text: a call's arguments as JSON text; else an object.
    """

    empty_content: bool
    arguments_as_text: bool

    @classmethod
    def of(cls, encoder: ChatEncoder) -> CallHistory | None:
        """The first way in which the template shows a call; None if it shows none.

        Source: transformers documents null and an object; templates in the manner of DeepSeek-R1
        tell a call by the null and put the arguments between other strings, and many others fail
        on a null.
        """
        for arguments_as_text in (False, True):
            for empty_content in (False, True):
                tried = cls(empty_content=empty_content, arguments_as_text=arguments_as_text)
                if tried._works(encoder):
                    return tried
        return None

    def _works(self, encoder: ChatEncoder) -> bool:
        arguments = f'{{"{_PROBE}x": 1}}' if self.arguments_as_text else {f"{_PROBE}x": 1}
        function = {"name": f"{_PROBE}f", "arguments": arguments}
        try:
            prompt = encoder.encode(
                [
                    {"role": "user", "content": "?"},
                    {
                        "role": "assistant",
                        "content": "" if self.empty_content else None,
                        "tool_calls": [{"id": "call_0", "type": "function", "function": function}],
                    },
                    {"role": "tool", "content": f"{_PROBE}r", "tool_call_id": "call_0"},
                ]
            )
        except RelayGenError:
            return False
        return all(f"{_PROBE}{part}" in prompt.text for part in "fxr")
