"""Well-known model families: their chat templates (see ``templates/SOURCES.md``), and what is known of them."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from tokenizers import AddedToken
from tokenizers import Tokenizer as Backend

from relaygen.chat import ChatEncoder, ChatTemplate, FirstStage
from relaygen.tokens import Tokenizer
from tests.tokens.tiny_models import train, write_json

FOLDER = Path(__file__).parent / "templates"
REAL = "RELAYGEN_CHAT_TEMPLATES"
"""Variable of the environment with a folder of further ``*.jinja`` files: models' own."""

NOW = datetime(2026, 2, 3)
REASONING, ANSWER, UNDECIDED = FirstStage.REASONING, FirstStage.ANSWER, FirstStage.UNDECIDED
_THINK = ("<think>", "</think>")
_MARKUP = re.compile(
    r"<\|[^|<>\s{}]+\|>|<｜[^｜<>]+｜>|</?(?:seed:)?(?:think|tool_call|tool_response|tools)>"
    r"|\[/?[A-Z_]{3,}\]|</?s>"
)


@dataclass(frozen=True, kw_only=True)
class Family:
    """A template and its tokens.

    Attributes:
        source: of the template.
        bos: beginning of a sequence.
        eos: end of a turn.
        markup: further tokens that stand for structure.
        tags: of the reasoning; None: it does not reason.
        stages: what the model writes first: by default, with thinking on, with thinking off.
        switch: how thinking is switched on and off, as ``chat_template_kwargs``.
        variables: of the template, for ``chat_template_kwargs``.
        calls: the name of its tool-call format; None: not one that is known.
        refuses: scenarios that this template cannot render.
    """

    source: str
    bos: str = "<s>"
    eos: str = "</s>"
    markup: tuple[str, ...] = ()
    tags: tuple[str, str] | None = None
    stages: tuple[FirstStage | None, FirstStage | None, FirstStage | None] = (None, None, None)
    switch: tuple[Mapping[str, Any], Mapping[str, Any]] | None = None
    variables: Mapping[str, Any] = field(default_factory=dict)
    calls: str | None = None
    refuses: tuple[str, ...] = ()

    @cached_property
    def backend(self) -> Backend:
        """A small tokenizer with the family's tokens."""
        backend = Backend.from_str(train())
        texts = dict.fromkeys([self.bos, self.eos, *self.markup, *(self.tags or ())])
        backend.add_special_tokens([AddedToken(text, normalized=False) for text in texts])
        return backend

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The same, as a model's folder gives it."""
        with tempfile.TemporaryDirectory() as folder:
            described = {"bos_token": self.bos, "eos_token": self.eos}
            path = write_json(Path(folder) / "m", self.backend.to_str(), described)
            return Tokenizer.load(path)

    @cached_property
    def encoder(self) -> ChatEncoder:
        """Of the template and the tokenizer; its clock stands still."""
        special = self.tokenizer.special_tokens
        return ChatEncoder(self.tokenizer, ChatTemplate(self.source, special, now=lambda: NOW))


def _family(name: str, **known: Any) -> Family:
    return Family(source=(FOLDER / f"{name}.jinja").read_text(encoding="utf-8"), **known)


_ENABLE = ({"enable_thinking": True}, {"enable_thinking": False})
_CHATML = {"bos": "<|endoftext|>", "eos": "<|im_end|>", "markup": ("<|im_start|>",)}
_DEEPSEEK: dict[str, Any] = {
    "bos": "<｜begin▁of▁sentence｜>",
    "eos": "<｜end▁of▁sentence｜>",
    "markup": (
        "<｜User｜>", "<｜Assistant｜>", "<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>",
        "<｜tool▁call▁begin｜>", "<｜tool▁call▁end｜>", "<｜tool▁sep｜>", "<｜tool▁outputs▁begin｜>",
        "<｜tool▁outputs▁end｜>", "<｜tool▁output▁begin｜>", "<｜tool▁output▁end｜>",
    ),
    "tags": _THINK,
}  # fmt: skip
_MISTRAL: dict[str, Any] = {
    "markup": (
        "[INST]", "[/INST]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "[AVAILABLE_TOOLS]",
        "[/AVAILABLE_TOOLS]", "[TOOL_CALLS]", "[CALL_ID]", "[ARGS]", "[TOOL_RESULTS]",
        "[TOOL_CONTENT]", "[/TOOL_RESULTS]",
    ),
    "calls": "mistral",
}  # fmt: skip
_NO_TOOLS = ("two steps of tools", "a question after tools")

FAMILIES: dict[str, Family] = {
    "qwen3": _family(
        "qwen3",
        **_CHATML,
        tags=_THINK,
        stages=(UNDECIDED, UNDECIDED, ANSWER),
        switch=_ENABLE,
        calls="hermes",
    ),
    "qwen3-coder": _family("qwen3-coder", **_CHATML, calls="qwen3-coder"),
    "deepseek-r1": _family(
        "deepseek-r1", **_DEEPSEEK, stages=(REASONING, REASONING, REASONING), calls="deepseek"
    ),
    "deepseek-v3.1": _family(
        "deepseek-v3.1",
        **_DEEPSEEK,
        stages=(ANSWER, REASONING, ANSWER),
        switch=({"thinking": True}, {"thinking": False}),
        calls="deepseek_v3.1",
    ),
    "glm-4.5": _family(
        "glm-4.5",
        bos="[gMASK]",
        eos="<|endoftext|>",
        markup=("<sop>", "<|system|>", "<|user|>", "<|assistant|>", "<|observation|>"),
        tags=_THINK,
        stages=(UNDECIDED, UNDECIDED, ANSWER),
        switch=_ENABLE,
        calls="glm",
    ),
    "mistral-small": _family("mistral-small", **_MISTRAL),
    "magistral": _family(
        "magistral", **_MISTRAL, tags=("[THINK]", "[/THINK]"), stages=(UNDECIDED,) * 3
    ),
    "seed-oss": _family(
        "seed-oss",
        bos="<seed:bos>",
        eos="<seed:eos>",
        markup=("<seed:tool_call>", "</seed:tool_call>"),
        tags=("<seed:think>", "</seed:think>"),
        stages=(UNDECIDED, UNDECIDED, ANSWER),
        switch=({"thinking_budget": 512}, {"thinking_budget": 0}),
        variables={"thinking_budget": 64},
        calls="seed-oss",
    ),
    "smollm3": _family(
        "smollm3",
        **_CHATML,
        tags=_THINK,
        stages=(UNDECIDED, UNDECIDED, ANSWER),
        switch=_ENABLE,
        variables={"xml_tools": [{"name": "f", "description": "<|im_end|>"}]},
        calls="hermes",
    ),
    "nemotron-nano": _family(
        "nemotron-nano",
        eos="<SPECIAL_12>",
        markup=("<SPECIAL_10>", "<SPECIAL_11>", "<TOOLCALL>", "</TOOLCALL>"),
        tags=_THINK,
        stages=(REASONING, REASONING, REASONING),
    ),
    "minimax-m2": _family(
        "minimax-m2",
        bos="]~!b[",
        eos="[e~[",
        markup=("]~b]", "<minimax:tool_call>", "</minimax:tool_call>"),
        tags=_THINK,
        stages=(REASONING, REASONING, REASONING),
    ),
    "phi-4-reasoning": _family(
        "phi-4-reasoning",
        bos="<|endoftext|>",
        eos="<|im_end|>",
        markup=("<|im_start|>", "<|im_sep|>"),
        tags=_THINK,
        stages=(UNDECIDED, UNDECIDED, UNDECIDED),
        refuses=_NO_TOOLS,
    ),
    "granite-3.3": _family(
        "granite-3.3",
        bos="<|end_of_text|>",
        eos="<|end_of_text|>",
        markup=("<|start_of_role|>", "<|end_of_role|>", "<|tool_call|>"),
        tags=_THINK,
        stages=(UNDECIDED, UNDECIDED, UNDECIDED),
        switch=({"thinking": True}, {"thinking": False}),
        variables={"documents": [{"title": "a", "text": "A <text>."}], "thinking": True},
    ),
    "llama-3": _family(
        "llama-3",
        bos="<|begin_of_text|>",
        eos="<|eot_id|>",
        markup=("<|start_header_id|>", "<|end_header_id|>"),
        variables={"date_string": "1 <May>", "tools_in_user_message": False},
    ),
    "gemma-3": _family(
        "gemma-3",
        bos="<bos>",
        eos="<end_of_turn>",
        markup=("<start_of_turn>",),
        refuses=_NO_TOOLS,
    ),
}


def real_families() -> dict[str, Family]:
    """The templates in the folder that `REAL` names, with the markup that can be seen in them."""
    folder = os.environ.get(REAL)
    found: dict[str, Family] = {}
    for path in sorted(Path(folder).glob("*.jinja")) if folder else ():
        source = path.read_text(encoding="utf-8")
        if "<|channel|>" in source:
            continue  # gpt-oss, which is refused
        found[path.stem] = Family(
            source=source,
            markup=tuple(sorted(set(_MARKUP.findall(source)))),
            switch=_ENABLE if "enable_thinking" in source else None,
        )
    return found


EVERY = {**FAMILIES, **real_families()}
