"""A call that has to be made is whole and valid, or cut by length, whatever breaks off."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relaygen.chat.tool_calls import DEEPSEEK, DEEPSEEK_BARE, HERMES, ToolCall, ToolCallFormat
from relaygen.engines.base import Engine, EngineOutput, GenerateRequest
from relaygen.engines.constraint import Constraint, ConstraintKind
from relaygen.engines.forced_call import ForcedCall, forced
from relaygen.engines.form_start import Place
from relaygen.engines.formed import FormedAnswer
from relaygen.engines.pool import PoolEngine, Replica
from relaygen.engines.simulated import Fault, SimulatedEngine
from relaygen.engines.simulated.server.forms import Choice
from relaygen.errors import EngineProtocolError, InvalidRequestError, TokenizerError
from relaygen.types import LegEnd, ModelRole
from tests.engines.forms import (
    EOS,
    PROMPT,
    SCHEMA,
    THOUGHT,
    VOCABULARY,
    Faults,
    FormWriter,
    free_engine,
    leg,
    tags,
    text_of,
)
from tests.engines.openai_http.byte_tokenizer import ByteTokenizer
from tests.engines.pool.virtual import run

TOKENIZER = ByteTokenizer(VOCABULARY)
EVERY = frozenset(ConstraintKind)
FUNCTIONS: Mapping[str, Mapping[str, Any]] = {
    "get": SCHEMA,
    "get_all": {"type": "object", "properties": {}, "additionalProperties": False},
    "add": {
        "type": "object",
        "properties": {"a": {"type": "integer"}},
        "required": ["a"],
    },
}
FORMATS = [HERMES, DEEPSEEK, DEEPSEEK_BARE]


class Held(SimulatedEngine):
    """Writes the form that it is held to; the faults are those of all legs under a form."""

    kinds = EVERY
    faults: Faults = None
    lies: str | None = None
    formed: int = 0

    def constraint_kinds(self) -> frozenset[ConstraintKind]:
        return self.kinds

    def constrained(self, constraint: Constraint) -> Engine:
        form: Any = constraint.schema
        if constraint.kind is ConstraintKind.CHOICE:
            form = Choice((self.lies,) if self.lies else constraint.choices)
        engine = SimulatedEngine(
            FormWriter(schema=form), faults=self.faults, vocabulary=VOCABULARY, chunk_tokens=3
        )
        self.formed += 1
        return engine


class NoEntries(ByteTokenizer):
    """Knows none of the ids that a server writes."""

    def token_bytes(self, token_id: int) -> bytes:
        raise TokenizerError(f"the id {token_id} is no entry")


def held(text: str = "", **fields: Any) -> Held:
    made = free_engine(text)
    engine = Held(made._model, vocabulary=VOCABULARY)
    for name, value in fields.items():
        setattr(engine, name, value)
    return engine


def call(known: ToolCallFormat = HERMES, names: Sequence[str] = tuple(FUNCTIONS)) -> ForcedCall:
    parts = known.parts
    assert parts is not None
    return ForcedCall(
        schemas={name: FUNCTIONS[name] for name in names},
        lead="\n\n",
        before_name=parts.before_name,
        before_arguments=parts.before_arguments,
        closing=parts.after_arguments,
    )


def calling(engine: Held, asked: ForcedCall) -> Engine:
    return forced(engine, asked, ModelRole.LARGE, TOKENIZER)


async def outputs(engine: Engine, request: GenerateRequest) -> list[EngineOutput]:
    return [output async for output in engine.generate(request)]


def text(found: Sequence[EngineOutput]) -> str:
    return VOCABULARY.decode(
        [token for output in found for token in output.token_ids if token != EOS]
    )


def made(known: ToolCallFormat, written: str) -> ToolCall:
    """The one call in a text that is nothing else; its arguments are those of its function."""
    body = re.fullmatch(
        re.escape(known.opening) + "(.*)" + re.escape(known.closing), written, re.DOTALL
    )
    assert body is not None, written
    (found,) = known.parse(body[1], FUNCTIONS) or ()
    jsonschema.validate(json.loads(found.arguments), FUNCTIONS[found.name])
    return found


@pytest.mark.parametrize("known", FORMATS, ids=lambda known: known.name)
@pytest.mark.parametrize("names", [["get"], list(FUNCTIONS)])
async def test_a_call_is_in_the_familys_own_words(known: ToolCallFormat, names: list[str]) -> None:
    seen = set()
    for n in range(12):
        prompt = (*PROMPT, *VOCABULARY.encode(str(n)))
        request = GenerateRequest(prompt=prompt, max_tokens=400, eos_ids=frozenset({EOS}))
        found = await outputs(calling(held(), call(known, names)), request)
        seen.add(made(known, text(found)).name)
        assert [output.end for output in found] == [None] * (len(found) - 1) + [LegEnd.EOS]
        assert found[-1].token_ids[-1] == EOS
    assert seen == set(names)


async def test_after_the_reasoning_it_begins_on_a_line_of_its_own() -> None:
    engine = held(f"{THOUGHT}</think>In words.")
    formed = FormedAnswer(engine, calling(engine, call()), tags())
    thought, _, answer = text(await outputs(formed, leg())).partition("</think>")
    assert thought == THOUGHT
    assert answer.startswith("\n\n<tool_call>")
    made(HERMES, answer.strip())


@pytest.mark.parametrize("names", [["get"], list(FUNCTIONS)])
@given(max_tokens=st.integers(1, 260))
@settings(max_examples=60, deadline=None)
def test_it_is_whole_or_cut_by_length(names: list[str], max_tokens: int) -> None:
    found = run(outputs(calling(held(), call(names=names)), leg(max_tokens=max_tokens)))
    written = [token for output in found for token in output.token_ids]
    assert len(written) <= max_tokens
    assert all(output.end is None for output in found[:-1])
    if found[-1].end is LegEnd.EOS:
        made(HERMES, text(found))
    else:
        assert found[-1].end is LegEnd.LENGTH
        assert HERMES.opening.startswith(text(found)[: len(HERMES.opening)])


@given(after=st.lists(st.integers(1, 60), min_size=1, max_size=3), first=st.integers(0, 2))
@settings(max_examples=40, deadline=None)
def test_a_call_that_breaks_off_is_made_anew(after: list[int], first: int) -> None:
    faults = {first + n: Fault(kind="fail", after=count) for n, count in enumerate(after)}
    engine = held(faults=faults)
    formed = FormedAnswer(engine, calling(engine, call()), tags(Place.CLOSED), attempts=9)
    written, error = run(text_of(formed))
    assert error is None
    made(HERMES, written.removesuffix("<|im_end|>"))


@pytest.mark.parametrize("names", [["get"], list(FUNCTIONS)])
@pytest.mark.parametrize("whole", [True, False])
async def test_what_the_model_read_and_who_wrote_is_told_once(
    names: list[str], whole: bool
) -> None:
    replica = Replica(name="A", engine=held())
    pool = PoolEngine([replica])
    asked = forced(pool, call(names=names), ModelRole.LARGE, TOKENIZER)
    if whole:
        asked = FormedAnswer(pool, asked, tags(Place.CLOSED))
    found = await outputs(asked, leg())
    read = [output.prompt_evaluated for output in found if output.prompt_evaluated is not None]
    assert len(read) == 1
    assert read[0] >= len(PROMPT)
    assert [output.replica for output in found if output.replica is not None] == ["A"]


async def test_every_token_has_its_score() -> None:
    engine = held("In words.")
    found = await outputs(calling(engine, call()), leg(want_scores=True))
    assert all(len(output.scores or ()) == len(output.token_ids) for output in found)


async def test_an_engine_that_cannot_is_refused() -> None:
    for kinds, names in (
        (EVERY - {ConstraintKind.JSON_SCHEMA}, ["get"]),
        (EVERY - {ConstraintKind.CHOICE}, ["get", "add"]),
    ):
        with pytest.raises(InvalidRequestError) as raised:
            calling(held(kinds=kinds), call(names=names))
        assert raised.value.param == "tool_choice"
    engine = held(kinds=EVERY - {ConstraintKind.CHOICE})
    made(HERMES, text(await outputs(calling(engine, call(names=["get"])), leg())))


async def test_a_name_that_is_none_is_a_servers_fault() -> None:
    with pytest.raises(EngineProtocolError, match="sub") as raised:
        await outputs(calling(held(lies="sub"), call()), leg())
    assert raised.value.retryable
    engine = held(lies="get")
    asked = forced(engine, call(), ModelRole.LARGE, NoEntries(VOCABULARY))
    with pytest.raises(EngineProtocolError, match="no entry") as raised:
        await outputs(asked, leg())
    assert raised.value.retryable
