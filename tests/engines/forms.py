"""A schema, engines that hold to it from a leg's first token, and what their legs come to."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jsonschema

from relaygen.engines.base import Engine, GenerateRequest
from relaygen.engines.form_start import FormStart, Place
from relaygen.engines.sampling import Logits, Sampler
from relaygen.engines.simulated import ByteVocabulary, Fault, ScriptedModel, SimulatedEngine
from relaygen.engines.simulated.models import TokenModel
from relaygen.engines.simulated.server.forms import form_text
from relaygen.errors import EngineError

VOCABULARY = ByteVocabulary(["So, ", '{"', "think"])
EOS = VOCABULARY.eos_id
PROMPT = tuple(VOCABULARY.encode("?"))
THOUGHT = "So, I count them."
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "count": {"type": "integer", "minimum": 0},
        "unit": {"enum": ["apples", "boxes"]},
        "names": {"type": "array", "items": {"type": "string"}, "minItems": 1},
        "whole": {"type": "boolean"},
        "not asked for": {"type": "null"},
    },
    "required": ["count", "unit", "names", "whole"],
    "additionalProperties": False,
}
Faults = Mapping[int, Fault] | Fault | None


def validate(text: str) -> None:
    """Raises where the text is no JSON of the schema."""
    jsonschema.validate(json.loads(text), SCHEMA)


class FormWriter:
    """Writes an instance of a form from the start of each leg, whatever stands before it."""

    def __init__(
        self,
        encode: Callable[[str], list[int]] = VOCABULARY.encode,
        vocab_size: int = len(VOCABULARY),
        end_token: int = EOS,
        schema: Any = SCHEMA,
    ) -> None:
        self.vocab_size = vocab_size
        self._encode = encode
        self._end_token = end_token
        self._schema = schema

    def start(self, prefix: Sequence[int]) -> TokenModel:
        return ScriptedModel(
            self._encode(form_text(self._schema, prefix)),
            vocab_size=self.vocab_size,
            end_token=self._end_token,
            prompt=tuple(prefix),
        )

    def logits(self, prefix: Sequence[int], origin: int) -> Logits:
        raise NotImplementedError

    def draw(self, prefix: Sequence[int], origin: int, sampler: Sampler) -> int:
        raise NotImplementedError


def free_engine(text: str, faults: Faults = None, **fields: Any) -> SimulatedEngine:
    model = ScriptedModel(VOCABULARY.encode(text), vocab_size=len(VOCABULARY), end_token=EOS)
    return SimulatedEngine(model, faults=faults, vocabulary=VOCABULARY, **fields)


def formed_engine(faults: Faults = None, **fields: Any) -> SimulatedEngine:
    return SimulatedEngine(FormWriter(), faults=faults, vocabulary=VOCABULARY, **fields)


def tags(first: Place = Place.REASONING, close: str = "</think>") -> FormStart:
    ids = VOCABULARY.encode(close)
    return FormStart(
        first=first,
        open_text="<think>",
        close_text=close,
        close_id=ids[0] if len(ids) == 1 else None,
        token_bytes=VOCABULARY.token_bytes,
    )


def leg(written: Sequence[int] = (), max_tokens: int = 400, **fields: Any) -> GenerateRequest:
    return GenerateRequest(
        prompt=(*PROMPT, *written),
        max_tokens=max_tokens - len(written),
        eos_ids=frozenset({EOS}),
        generated_from=len(PROMPT),
        generation_id="g",
        **fields,
    )


async def text_of(engine: Engine, *, repeats: int = 30) -> tuple[str, EngineError | None]:
    """What a runner gets that begins a leg that broke off again from what it has received."""
    written: list[int] = []
    for _ in range(repeats):
        try:
            async for output in engine.generate(leg(written)):
                written += output.token_ids
                if output.end is not None:
                    return VOCABULARY.decode(written), None
        except EngineError as error:
            if not error.retryable:
                return VOCABULARY.decode(written), error
    raise AssertionError("it makes no headway")
