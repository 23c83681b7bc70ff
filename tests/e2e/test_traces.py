"""Spans of real processes: servers, gateway, collector; SIGTERM loses none."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
import pytest

from relaygen import demo_models
from tests.gateway.collector import collector

from .fleet import gateway, model_server

pytestmark = pytest.mark.e2e


async def test_a_gateway_that_is_told_to_go_sends_its_spans_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer = demo_models.hf_folder("large")
    servers = {
        role: model_server(
            tmp_path, role=role, number=0, tokenizer=tokenizer, sentences=6, flags=()
        )
        for role in ("large", "small")
    }
    pools = "\n".join(f"[{role}]\nreplicas = ['{s.url}']\n" for role, s in servers.items())
    config = f"[relay]\nprofile = 'demo'\ntokenizer = {str(tokenizer)!r}\n{pools}"
    with collector() as opened:
        monkeypatch.setenv("RELAYGEN_SERVER__OTEL_ENDPOINT", opened.url)
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "600000")  # not before the end
        monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=test")
        door = gateway(tmp_path, config)
        try:
            await asyncio.gather(*(server.start() for server in servers.values()))
            await door.start()
            async with aiohttp.ClientSession() as session:
                messages = [{"role": "user", "content": "How many?"}]
                body = {"model": "relay", "messages": messages}
                headers = {"traceparent": f"00-{'a' * 32}-{'b' * 16}-01"}
                async with session.post(
                    f"{door.url}/v1/chat/completions", json=body, headers=headers
                ) as reply:
                    assert reply.status == 200
                    usage = (await reply.json())["usage"]
            assert not opened.spans
            assert await door.stop() == 0
        finally:
            await door.kill()
            for server in servers.values():
                await server.kill()
    (request,) = [span for span in opened.spans if span["name"] == "POST /v1/chat/completions"]
    assert (request["trace"], request["parent"]) == ("a" * 32, "b" * 16)
    legs = [span for span in opened.spans if span["parent"] == request["id"]]
    assert len(legs) == len(opened.spans) - 1
    tokens = sum(leg["gen_ai.usage.output_tokens"] for leg in legs)
    assert tokens == request["gen_ai.usage.output_tokens"] == usage["completion_tokens"]
    for leg in legs:
        assert leg["relaygen.replicas"] == [servers[leg["relaygen.role"]].url]
    assert {leg["relaygen.role"] for leg in legs} == {"large", "small"}
    assert opened.resources[0]["deployment.environment"] == "test"
