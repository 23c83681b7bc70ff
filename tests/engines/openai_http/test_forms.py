"""Answers that are held to a form by servers: how each is asked, and that it holds."""

from __future__ import annotations

import functools
import json

import pytest
import xllamacpp

from relaygen import demo_models
from relaygen.chat.tool_calls import HERMES
from relaygen.engines.base import Engine, GenerateRequest
from relaygen.engines.constraint import ConstrainedEngine, Constraint, ConstraintKind
from relaygen.engines.forced_call import ForcedCall, forced
from relaygen.engines.openai_http import DIALECTS, OpenAIHTTPEngine
from relaygen.engines.simulated.server import ServerFault
from relaygen.errors import EngineError, InvalidRequestError, UnsupportedError
from relaygen.tokens import Tokenizer
from relaygen.types import ModelRole, Sampling
from tests.engines.forms import SCHEMA, validate
from tests.engines.openai_http.serving import (
    EOS,
    VOCABULARY,
    leg,
    outputs_of,
    reciting,
    served,
    tokens,
)

ASKED = Constraint(kind=ConstraintKind.JSON_SCHEMA, schema=SCHEMA)
ANY_OBJECT = Constraint(kind=ConstraintKind.JSON_OBJECT)
JSON_DIALECTS = [name for name in DIALECTS if name != "text"]


async def answer(engine: Engine, request: GenerateRequest) -> str:
    written = tokens(await outputs_of(engine, request))
    return VOCABULARY.decode(token for token in written if token != EOS)


@pytest.mark.parametrize("dialect", JSON_DIALECTS)
async def test_a_server_holds_every_leg_to_the_form(dialect: str) -> None:
    async with served(dialect, reciting("In words.")) as (engine, _):
        assert isinstance(engine, ConstrainedEngine)
        assert engine.constraint_kinds() == {"json_object", "json_schema", "choice"}
        held = engine.constrained(ASKED)
        assert held.capabilities() == engine.capabilities()
        validate(text := await answer(held, leg(max_tokens=300)))
        middle = (*leg().prompt, *VOCABULARY.encode(text[:4]))
        validate(await answer(held, leg(prompt=middle, max_tokens=300)))  # it cannot go on
        assert json.loads(await answer(engine.constrained(ANY_OBJECT), leg())) == {}
        assert await answer(engine, leg()) == "In words."


@pytest.mark.parametrize("dialect", JSON_DIALECTS)
async def test_what_a_server_cannot_hold_to_is_refused(dialect: str) -> None:
    asked = Constraint(kind=ConstraintKind.JSON_SCHEMA, schema={"type": "string", "pattern": "a"})
    async with served(dialect, reciting("")) as (engine, _):
        with pytest.raises(InvalidRequestError, match="pattern") as raised:
            await outputs_of(engine.constrained(asked), leg())
        assert raised.value.param == "response_format"


@pytest.mark.parametrize("dialect", JSON_DIALECTS)
async def test_faults_strike_a_formed_leg_too(dialect: str) -> None:
    faults = ServerFault(kind="cut", after=3)
    async with served(dialect, reciting(""), faults=faults) as (engine, _):
        with pytest.raises(EngineError) as raised:
            await outputs_of(engine.constrained(ASKED), leg(max_tokens=300))
        assert raised.value.retryable


@pytest.mark.parametrize("dialect", JSON_DIALECTS)
async def test_a_server_holds_a_leg_to_one_of_some_texts(dialect: str) -> None:
    texts = ('add", "arguments": ', "ü\n```json\n", "a\\b")
    asked = Constraint(kind=ConstraintKind.CHOICE, choices=texts)
    async with served(dialect, reciting("")) as (engine, _):
        held = engine.constrained(asked)
        prompts = ((*leg().prompt, *VOCABULARY.encode(str(n))) for n in range(20))
        found = {await answer(held, leg(prompt=prompt)) for prompt in prompts}
    assert found == set(texts)


@pytest.mark.parametrize("kind", list(ConstraintKind))
async def test_a_dialect_that_has_no_words_for_a_form_refuses_it(kind: ConstraintKind) -> None:
    async with served("text", reciting("")) as (engine, _):
        assert kind not in engine.constraint_kinds()
        with pytest.raises(InvalidRequestError) as raised:
            engine.constrained(Constraint(kind=kind, schema={}))
        assert raised.value.param == "response_format"


async def test_a_real_llama_server_makes_a_forced_call() -> None:
    unit = {
        "type": "object",
        "properties": {"unit": {"enum": ["apples", "boxes"]}},
        "required": ["unit"],
        "additionalProperties": False,
    }
    parts = HERMES.parts
    assert parts is not None
    call = ForcedCall(
        schemas={"count": unit, "count_all": {"$defs": {"u": unit}, "$ref": "#/$defs/u"}},
        before_name=parts.before_name,
        before_arguments=parts.before_arguments,
        closing=parts.after_arguments,
    )
    tokenizer = Tokenizer.load(demo_models.gguf("small"))
    engine = await OpenAIHTTPEngine.connect(started_llama_server(), tokenizer=tokenizer)
    prompt = tuple(tokenizer.encode("How many?", parse_special=True))
    names = set()
    try:
        held = forced(engine, call, ModelRole.LARGE, tokenizer)
        for seed in range(12):
            request = leg(
                prompt=prompt,
                max_tokens=300,
                eos_ids=tokenizer.eos_ids,
                sampling=Sampling(seed=seed, logit_bias=_no_space(tokenizer)),
            )
            found = await outputs_of(held, request)
            written = [token for token in tokens(found) if token not in tokenizer.eos_ids]
            text = tokenizer.decode(written)
            assert found[-1].end == "eos", text
            body = text.removeprefix(HERMES.opening).removesuffix(HERMES.closing)
            (made,) = HERMES.parse(body, call.schemas) or ()
            assert json.loads(made.arguments)["unit"] in ("apples", "boxes")
            names.add(made.name)
    finally:
        await engine.aclose()
    assert names == {"count", "count_all"}


def _no_space(tokenizer: Tokenizer) -> dict[int, float]:
    """A model this small would fill an object with white space for ever."""
    ids = range(tokenizer.vocab_size)
    return {i: -100.0 for i in ids if tokenizer.token_bytes(i).strip() != tokenizer.token_bytes(i)}


async def test_a_real_llama_server_holds_to_the_form() -> None:
    # A model this small would fill an object with white space for ever.
    choice = Constraint(kind=ConstraintKind.JSON_SCHEMA, schema={"enum": ["apples", "boxes"]})
    tokenizer = Tokenizer.load(demo_models.gguf("small"))
    engine = await OpenAIHTTPEngine.connect(started_llama_server(), tokenizer=tokenizer)
    prompt = tuple(tokenizer.encode("How many?", parse_special=True))
    try:
        for temperature in (0.0, 1.0):
            sampling = Sampling(temperature=temperature, seed=1)
            request = leg(
                prompt=prompt, max_tokens=200, eos_ids=tokenizer.eos_ids, sampling=sampling
            )
            found = await outputs_of(engine.constrained(choice), request)
            written = [token for token in tokens(found) if token not in tokenizer.eos_ids]
            assert json.loads(tokenizer.decode(written)) in ("apples", "boxes")
            assert found[-1].end == "eos"
    finally:
        await engine.aclose()


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "nonsense"},
        {"$ref": "#/nowhere"},
        {"type": "array", "uniqueItems": True},
        {"type": "string", "format": "wombat"},
        {"type": "string", "pattern": "^(?!a)b$"},
        {"type": "integer", "minimum": 5, "maximum": 3},
    ],
    ids=json.dumps,
)
async def test_what_a_real_llama_server_would_leave_out_is_refused(
    schema: dict[str, object],
) -> None:
    asked = Constraint(kind=ConstraintKind.JSON_SCHEMA, schema=schema)
    tokenizer = Tokenizer.load(demo_models.gguf("small"))
    engine = await OpenAIHTTPEngine.connect(started_llama_server(), tokenizer=tokenizer)
    try:
        with pytest.raises(UnsupportedError, match="cannot enforce") as raised:
            await outputs_of(engine.constrained(asked), leg(max_tokens=4))
    finally:
        await engine.aclose()
    assert raised.value.param == "response_format"


@functools.cache
def started_llama_server() -> str:
    """The one inside the xllamacpp wheel, with a model that writes text; ends with the process."""
    params = xllamacpp.CommonParams()
    params.model.path = str(demo_models.gguf("small"))
    params.n_ctx, params.n_parallel, params.port, params.n_gpu_layers = 512, 1, 0, 0
    params.cpuparams.n_threads = 1
    params.warmup = False
    params.verbosity = -1
    RUNNING.append(xllamacpp.Server(params))
    return str(RUNNING[-1].listening_address)


RUNNING: list[xllamacpp.Server] = []
