"""From settings to a service: real servers on loopback, and everything that may be wrong."""

from __future__ import annotations

import json
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from relaygen import demo_models
from relaygen.api import Options
from relaygen.engines.pool import PoolEngine
from relaygen.engines.simulated.server import ServerFault, SimulatedServer, storyteller
from relaygen.errors import (
    EngineUnavailableError,
    InvalidRequestError,
    RelayGenError,
    SettingsError,
    TokenizerMismatchError,
)
from relaygen.gateway import create_app
from relaygen.gateway.assembly import open_service
from relaygen.settings import Settings, load
from relaygen.tokens import Tokenizer
from relaygen.types import ModelRole
from tests.gateway.asgi import Client, Response

TOKENIZER = demo_models.hf_folder("large")


@asynccontextmanager
async def served(
    *, tokenizer: Tokenizer | None, fault: ServerFault | None = None, dialect: str = "vllm"
) -> AsyncIterator[str]:
    backend = storyteller(dialect, tokenizer=tokenizer, sentences=6, faults=fault)
    async with SimulatedServer(backend) as server:
        yield server.url


def settings(large: str | list[str], small: str, **relay: Any) -> Settings:
    told = {"tokenizer": TOKENIZER, "profile": "demo"} | relay
    replicas = [large] if isinstance(large, str) else large
    pools = {"large": {"replicas": replicas}, "small": {"replicas": [small]}}
    return load(None, pools | {"relay": {k: v for k, v in told.items() if v is not None}})


async def test_two_pools_of_servers_are_one_relay() -> None:
    tokenizer = Tokenizer.load(TOKENIZER)
    async with (
        served(tokenizer=tokenizer) as large,
        served(tokenizer=tokenizer) as small,
        open_service(
            settings(large, small, max_queue_for_handoff=4, limits={"max_small_tokens": 7})
        ) as service,
    ):
        assert service.relay.config.max_small_tokens == 7
        assert service.ready() is None
        result = await service.relay.generate("How many?", Options(seed=1))
        for model in service.relay.models.values():
            assert isinstance(model.engine, PoolEngine)
            assert len(model.engine._homes) == 1
        assert (await Client(create_app(service)).chat(model="relay")).status == 200
        assert [len(m.engine._homes) for m in service.relay.models.values()] == [1, 1]
    assert result.trace.handoffs > 0
    assert result.answer.strip().startswith("The answer is")


async def test_deadlines_of_the_settings_are_those_of_the_pool() -> None:
    own = Tokenizer.load(TOKENIZER)
    stalls = ServerFault(kind="stall", after=5)
    async with served(tokenizer=own, fault=stalls) as large, served(tokenizer=own) as small:
        given = settings(large, small)
        slow = given.large.model_copy(update={"between_tokens_s": 0.05})
        async with open_service(given.model_copy(update={"large": slow})) as service:
            result = await service.relay.generate("How many?", Options(seed=1, max_tokens=20))
            engine = service.relay.models[ModelRole.LARGE].engine
            assert isinstance(engine, PoolEngine)
            failures = engine.counts().replicas[0].failures
    assert set(failures) == {"between_tokens_s"}
    assert result.trace.failovers == failures["between_tokens_s"] > 0


@pytest.mark.parametrize("mixed", [("vllm",), ("vllm", "llama_server")], ids="-".join)
async def test_penalties_are_what_every_server_that_may_write_can_count(
    mixed: tuple[str, ...],
) -> None:
    own = Tokenizer.load(TOKENIZER)
    async with AsyncExitStack() as stack:

        async def url(dialect: str) -> str:
            return await stack.enter_async_context(served(tokenizer=own, dialect=dialect))

        large, small = [await url(dialect) for dialect in mixed], await url("llama_server")
        service = await stack.enter_async_context(open_service(settings(large, small)))
        client = Client(create_app(service))

        async def ask(model: str, **fields: Any) -> Response:
            return await client.chat(model=model, stream=True, max_tokens=200, **fields)

        relayed = await ask("relay", frequency_penalty=0.5)
        alone = await ask("relay:large", frequency_penalty=0.5)
        neutral = await ask("relay", frequency_penalty=0)
    assert (relayed.status, relayed.error["param"]) == (400, "frequency_penalty")
    assert relayed.error["code"] == "unsupported_value"
    assert neutral.events[-1] == "[DONE]"
    if len(mixed) == 1:
        assert alone.events[-1] == "[DONE]"
    else:
        assert (alone.status, alone.error["param"]) == (400, "frequency_penalty")


async def test_a_models_penalty_that_no_request_could_have_keeps_the_gateway_from_starting(
    tmp_path: Path,
) -> None:
    folder = shutil.copytree(TOKENIZER, tmp_path / "model")
    file = folder / "generation_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"repetition_penalty": 1.1}))
    own = Tokenizer.load(TOKENIZER)
    async with served(tokenizer=own) as large, served(tokenizer=own) as small:
        with pytest.raises(SettingsError, match=r"model has repetition_penalty 1\.1") as raised:
            async with open_service(settings(large, small, tokenizer=folder)):
                pass
        assert "put `repetition_penalty = 1` under [relay.sampling]" in str(raised.value)
        without = settings(large, small, tokenizer=folder, sampling={"repetition_penalty": 1})
        async with open_service(without) as service:
            client = Client(create_app(service))
            taken = await client.chat(model="relay", max_tokens=50)
            asked = await client.chat(model="relay", repetition_penalty=1.1)
            sampling = service.relay.models[ModelRole.LARGE].sampling
        too_much = settings(large, small, sampling={"presence_penalty": 0.5})
        with pytest.raises(SettingsError, match=r"relay\.sampling has presence_penalty 0\.5"):
            async with open_service(too_much):
                pass
    assert taken.status == 200
    assert (asked.status, asked.error["param"]) == (400, "repetition_penalty")
    assert (sampling.repetition_penalty, sampling.temperature) == (1.0, 0.6)


@pytest.mark.parametrize("healthy", [1, 0])
async def test_a_replica_with_another_model_is_left_out_and_the_operator_sees_why(
    healthy: int,
) -> None:
    own = Tokenizer.load(TOKENIZER)
    no_model = ServerFault(kind="status", status=404)
    async with AsyncExitStack() as stack:
        wrong = await stack.enter_async_context(served(tokenizer=own, fault=no_model))
        small = await stack.enter_async_context(served(tokenizer=own))
        right = [await stack.enter_async_context(served(tokenizer=own)) for _ in range(healthy)]
        service = await stack.enter_async_context(open_service(settings([wrong, *right], small)))
        client = Client(create_app(service))
        replies = [
            await client.chat(f"{n}?", model="relay", max_tokens=9, stream=n % 2 == 0)
            for n in range(12)
        ]
        ready = await client.get("/health/ready")
        metrics = (await client.get("/metrics")).body.decode()
    assert {reply.status for reply in replies} == {200 if healthy else 502}
    if healthy:
        assert all(reply.events[-1] == "[DONE]" for reply in replies[::2])
    else:
        assert "404" in replies[0].error["message"]
        assert "check the address, the dialect and model" in replies[0].error["message"]
    assert ready.status == (200 if healthy else 503)
    assert ready.json["left_out"].keys() == {f"large {wrong}"}
    assert "answered 404" in ready.json["left_out"][f"large {wrong}"]
    labels = f'replica="{wrong}",role="large"'
    assert f"relaygen_replica_up{{{labels}}} 0.0" in metrics
    assert f'relaygen_replica_failures_total{{kind="misfit",{labels}}}' in metrics


async def test_a_small_pool_that_is_known_to_be_gone_is_not_handed_to() -> None:
    own = Tokenizer.load(TOKENIZER)
    no_model = ServerFault(kind="status", status=404)
    async with (
        served(tokenizer=own) as large,
        served(tokenizer=own, fault=no_model) as small,
        open_service(settings(large, small)) as service,
    ):
        found_out, known = [
            await service.relay.generate("How many?", Options(seed=1)) for _ in range(2)
        ]
    assert found_out.trace.small_lost
    assert found_out.trace.handoffs_left_out == 0
    assert not known.trace.small_lost
    assert known.trace.handoffs_left_out > 0
    assert {s.role for s in known.trace.segments} == {ModelRole.LARGE}
    assert found_out.text == known.text


async def test_a_server_with_another_tokenizer_is_refused() -> None:
    own = Tokenizer.load(TOKENIZER)
    async with served(tokenizer=own) as large, served(tokenizer=None) as small:
        with pytest.raises(TokenizerMismatchError, match="is not that of the model on"):
            async with open_service(settings(large, small)):
                pass


async def test_a_server_that_is_not_there_is_named() -> None:
    async with served(tokenizer=Tokenizer.load(TOKENIZER)) as large:
        with pytest.raises(EngineUnavailableError, match="127.0.0.1:9"):
            async with open_service(settings(large, "http://127.0.0.1:9")):
                pass


@pytest.mark.parametrize(
    ("relay", "says"),
    [
        ({"tokenizer": None}, "relay.tokenizer is missing"),
        ({"profile": "nonsense"}, "nonsense"),
    ],
)
async def test_settings_that_cannot_be_are_refused(relay: dict[str, Any], says: str) -> None:
    with pytest.raises(RelayGenError, match=says):
        async with open_service(settings("http://127.0.0.1:9", "http://127.0.0.1:9", **relay)):
            pass


async def test_a_key_that_is_not_in_the_environment_is_named() -> None:
    given = settings("http://127.0.0.1:9", "http://127.0.0.1:9")
    large = given.large.model_copy(update={"api_key_env": "RELAYGEN_TEST_NO_SUCH_KEY"})
    with pytest.raises(SettingsError, match="RELAYGEN_TEST_NO_SUCH_KEY, and it is not set"):
        async with open_service(given.model_copy(update={"large": large})):
            pass


def test_the_error_of_a_bad_limit_is_not_a_bad_request() -> None:
    assert not issubclass(SettingsError, InvalidRequestError)
