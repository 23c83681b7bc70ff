"""A gateway starts without a replica that is not there, and takes it when it has come and fits."""

from __future__ import annotations

import asyncio
import io
import json
import socket
from collections.abc import Callable
from typing import Any

import pytest

from relaygen.engines.simulated.server import Backend, SimulatedServer, storyteller
from relaygen.errors import EngineUnavailableError, TokenizerMismatchError
from relaygen.gateway import create_app, served_pools
from relaygen.gateway.assembly import open_service
from relaygen.settings import Settings, load
from relaygen.tokens import Tokenizer
from relaygen.types import ModelRole
from tests.gateway.asgi import GUARD_S, Client
from tests.gateway.test_assembly import TOKENIZER


def backend(tokenizer: Tokenizer | None = None, **fields: Any) -> Backend:
    own = tokenizer or Tokenizer.load(TOKENIZER)
    return storyteller(fields.pop("dialect", "vllm"), tokenizer=own, sentences=6, **fields)


def another_tokenizer() -> Backend:
    return storyteller("vllm", sentences=6)


def settings(large: list[str], small: list[str]) -> Settings:
    often = {"health_interval_s": 0.5}
    pools = {"large": {"replicas": large} | often, "small": {"replicas": small} | often}
    return load(None, pools | {"relay": {"tokenizer": TOKENIZER, "profile": "demo"}})


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


async def until(client: Client, wanted: Callable[[str], bool], name: str) -> str:
    """What is said of a replica under ``left_out``, once it is as wanted; empty: it is not there."""
    async with asyncio.timeout(GUARD_S):
        while True:
            said: str = (await client.get("/health/ready")).json.get("left_out", {}).get(name, "")
            if wanted(said):
                return said
            await asyncio.sleep(0.01)


async def ask(client: Client, count: int = 12) -> None:
    for n in range(count):
        reply = await client.chat(f"{n}?", model="relay", max_tokens=9)
        assert reply.status == 200


async def test_a_replica_that_comes_late_is_given_legs(lines: io.StringIO) -> None:
    port, late = free_port(), backend()
    url = f"http://127.0.0.1:{port}"
    async with SimulatedServer(backend()) as large, SimulatedServer(backend()) as small:
        given = settings([url, large.url], [small.url])
        async with open_service(given) as service:
            client = Client(create_app(service))
            ready = await client.get("/health/ready")
            assert ready.status == 200
            assert ready.json["left_out"].keys() == {f"large {url}"}
            assert "cannot be reached" in ready.json["left_out"][f"large {url}"]
            await ask(client)
            async with SimulatedServer(late, port=port):
                await until(client, lambda said: said.startswith("HALF_OPEN"), f"large {url}")
                await ask(client)
                assert late.engine.counters.legs > 0
                assert await until(client, lambda said: not said, f"large {url}") == ""
    told = [json.loads(line) for line in lines.getvalue().splitlines()]
    told = [line for line in told if line.get("replica") == url]
    assert [(line["event"], line["role"], line["state"]) for line in told] == [
        ("replica out", "large", "DOWN"),
        ("replica back", "large", "UP"),
    ]
    assert "cannot be reached" in told[0]["error"]


@pytest.mark.parametrize(
    ("other", "says"),
    [
        (another_tokenizer, "is not that of the model on"),
        (lambda: backend(name="other"), "has model other, and the others of its pool simulated"),
        (lambda: backend(dialect="sglang"), "has dialect sglang, and the others of its pool vllm"),
    ],
    ids=["tokenizer", "model", "dialect"],
)
async def test_a_replica_that_comes_late_and_is_another_never_is(
    other: Callable[[], Backend],
    says: str,
    lines: io.StringIO,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    port, late = free_port(), other()
    url = f"http://127.0.0.1:{port}"
    monkeypatch.setitem(served_pools._GONE, ModelRole.LARGE, {"begin_gone_s": 0.2})
    async with (
        SimulatedServer(backend()) as large,
        SimulatedServer(backend()) as small,
        open_service(settings([large.url, url], [small.url])) as service,
        SimulatedServer(late, port=port),
    ):
        client = Client(create_app(service))
        said = await until(client, lambda said: says in said, f"large {url}")
        assert said.startswith("DOWN")
        await ask(client)
        await large.aclose()  # not even where it is the only one left
        for stream in (True, False):
            reply = await client.chat(model="relay", max_tokens=9, stream=stream)
            assert (reply.status, reply.error["code"]) == (503, "engine_unavailable")
            assert int(reply.headers["retry-after"]) > 0
        assert late.engine.counters.legs == 0
    told = [json.loads(line) for line in lines.getvalue().splitlines()]
    (left_out,) = [line for line in told if line["event"] == "replica left out"]
    assert says in left_out["error"]


@pytest.mark.parametrize(
    ("answer", "says"),
    [(b"", "answers nothing"), (b"HTTP/1.1 502 \r\ncontent-length: 0\r\n\r\n", "answered 502")],
    ids=["silent", "failing"],
)
async def test_a_replica_that_is_there_and_of_no_use_is_left_out(
    answer: bytes, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(served_pools, "_OTHERS_S", 1.0)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(2**16):
            writer.write(answer)
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with (
        SimulatedServer(backend()) as large,
        SimulatedServer(backend()) as small,
        asyncio.timeout(GUARD_S),
        open_service(settings([url, large.url], [small.url])) as service,
    ):
        client = Client(create_app(service))
        ready = await client.get("/health/ready")
        assert says in ready.json["left_out"][f"large {url}"]
        await ask(client)
    server.close()


async def test_one_replica_of_each_model_must_be_there_and_each_that_is_must_fit() -> None:
    gone = f"http://127.0.0.1:{free_port()}"
    async with SimulatedServer(backend()) as well, SimulatedServer(another_tokenizer()) as other:
        for large, small, error in (
            ([well.url], [gone], EngineUnavailableError),
            ([gone, other.url], [well.url], TokenizerMismatchError),
        ):
            with pytest.raises(error):
                async with open_service(settings(large, small)):
                    pass
