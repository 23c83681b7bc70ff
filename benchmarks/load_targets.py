"""What a load is put on: model servers alone, a bare proxy, the gateway, LiteLLM's proxy."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import Fleet, Process
from benchmarks.scripted_trace import Story
from relaygen import demo_models
from relaygen.launch.ports import free_ports

DIRECT, PASS_THROUGH = "direct", "pass-through"
GATEWAY_LARGE, GATEWAY_RELAY = "gateway, large alone", "gateway, relay"
LITELLM = "LiteLLM"
_LITELLM_START_S = 180.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """One of them.

    Attributes:
        name: above.
        url: where it listens.
        model: to ask for.
        process: whose CPU time and memory count.
    """

    name: str
    url: str
    model: str
    process: Process


def replay_servers(fleet: Fleet, story: Story, decode_ms: float) -> tuple[Process, Process]:
    """A large and a small model server that recite the story."""
    script = fleet.folder / "story.json"
    script.write_text(json.dumps(story.token_ids), encoding="utf-8")
    flags = ("--script", str(script), "--decode-ms", str(decode_ms))
    large, small = (fleet.module("benchmarks.replay_server", *flags) for _ in range(2))
    return large, small


def gateway(fleet: Fleet, large: Process, small: Process) -> Process:
    """``relaygen serve`` before them, with room for thousands of streams."""
    pools = "\n".join(
        f"[{role}]\nreplicas = ['{server.url}']\ndialect = 'vllm'\n"
        "concurrency = 8192\nqueue = 8192\n"
        for role, server in (("large", large), ("small", small))
    )
    folder = demo_models.hf_folder("large")
    relay = f"[relay]\nname = 'pair'\nprofile = 'demo'\ntokenizer = '{folder}'\n"
    return fleet.gateway(relay + pools)


def targets(fleet: Fleet, story: Story, decode_ms: float, litellm: Path | None) -> list[Target]:
    """All of them over one pair of model servers; LiteLLM's where its Python is given."""
    large, small = replay_servers(fleet, story, decode_ms)
    bare = fleet.module("benchmarks.pass_through", "--upstream", large.url)
    door = gateway(fleet, large, small)
    made = [
        Target(name=DIRECT, url=large.url, model="replayed", process=large),
        Target(name=PASS_THROUGH, url=bare.url, model="replayed", process=bare),
        Target(name=GATEWAY_LARGE, url=door.url, model="pair:large", process=door),
        Target(name=GATEWAY_RELAY, url=door.url, model="pair", process=door),
    ]
    if litellm is not None:
        proxy = _litellm(fleet, litellm, large.url)
        made.append(Target(name=LITELLM, url=proxy.url, model="replayed", process=proxy))
    return made


def _litellm(fleet: Fleet, python: Path, upstream: str) -> Process:
    port = free_ports(1)[0]
    entry = {
        "model_name": "replayed",
        "litellm_params": {
            "model": "openai/replayed",
            "api_base": f"{upstream}/v1",
            "api_key": "none",
        },
    }
    file = fleet.folder / f"litellm-{port}.json"  # JSON is YAML
    file.write_text(json.dumps({"model_list": [entry]}), encoding="utf-8")
    program = python.parent / "litellm"
    arguments = [str(program), "--config", str(file), "--port", str(port), "--num_workers", "1"]
    arguments += ["--host", "127.0.0.1", "--telemetry", "False"]
    return fleet.program(
        arguments,
        port=port,
        health="/health/liveliness",
        within_s=_LITELLM_START_S,
        environment={
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "LITELLM_LOG": "ERROR",
            "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",  # no keys in ours either
            "PYTHONPATH": "",
        },
    )
