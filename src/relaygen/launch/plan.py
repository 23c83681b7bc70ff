"""From what is asked and what the machine has to commands: pure, so that every decision is tested."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from relaygen.engines.llama_cpp.threads import is_tiny
from relaygen.launch.command import Command
from relaygen.launch.gateway import Pool, gateway_command, gateway_config
from relaygen.launch.llama_cpp import DEFAULT_SLOTS, llama_command
from relaygen.launch.machine import Machine
from relaygen.launch.model_files import ModelFiles
from relaygen.launch.options import Engine, LaunchOptions
from relaygen.launch.placement import Placement, place
from relaygen.launch.ports import LOOPBACK
from relaygen.launch.refusals import check_options, choose_engine
from relaygen.launch.server import ModelServer
from relaygen.launch.service import Service
from relaygen.launch.sglang import sglang_command
from relaygen.launch.vllm import STOP_STRINGS, vllm_command

_DIALECTS = {Engine.LLAMA_CPP: "llama_server", Engine.VLLM: "vllm", Engine.SGLANG: "sglang"}
_SERVER_GRACE_S = 15.0
_GATEWAY_GRACE_S = 40.0  # its running streams have 30 s to end


@dataclass(frozen=True, kw_only=True, slots=True)
class LaunchPlan:
    """What will be started, in which order.

    Attributes:
        waves: servers; those of a wave start together, once the wave before is ready.
        config: the gateway's configuration, as TOML.
        keys: names of the keys between gateway and servers.
        gateway: the gateway, given the path of its configuration.
        notes: what was decided.
        warnings: what will probably go wrong.
    """

    waves: tuple[tuple[Service, ...], ...]
    config: str
    keys: tuple[str, ...]
    gateway: Callable[[Path], Service]
    notes: tuple[str, ...]
    warnings: tuple[str, ...]


def make_plan(
    options: LaunchOptions,
    *,
    large: ModelFiles,
    small: ModelFiles,
    draft: ModelFiles | None,
    machine: Machine,
) -> LaunchPlan:
    """Decides everything.

    Args:
        options: what is asked.
        large: the large model's files.
        small: the small model's files.
        draft: the draft model's files, where there is one.
        machine: what there is.

    Raises:
        InvalidRequestError: the options contradict each other, the files, or the machine.
    """
    engine = choose_engine(options.engine, large, small)
    check_options(options, engine, machine)
    placement = place(options, engine, large=large, small=small, draft=draft, machine=machine)
    servers = _servers(options, engine, (large, small), placement, machine)
    commands = [_command(engine, server, machine) for server in servers]
    services = [
        Service(
            name=server.name,
            command=command,
            host=LOOPBACK,
            port=server.port,
            ready_path="/health",
            runs=engine,
            grace_s=_SERVER_GRACE_S,
        )
        for server, command in zip(servers, commands, strict=True)
    ]
    keys = tuple(key for command in commands for key in command.keys.values())
    pools = [
        Pool(
            name=server.name,
            url=service.url,
            dialect=_DIALECTS[engine],
            key=server.key if server.key in keys else None,
            context_tokens=server.context_tokens,
            concurrency=server.slots,
            stop_strings=STOP_STRINGS if engine is Engine.VLLM else None,
        )
        for server, service in zip(servers, services, strict=True)
    ]
    return LaunchPlan(
        waves=tuple((s,) for s in services) if placement.one_by_one else (tuple(services),),
        config=gateway_config(
            pools,
            tokenizer=(options.tokenizer or large.path).absolute(),
            profile=options.profile,
            host=options.host,
            port=options.port,
        ),
        keys=keys,
        gateway=lambda config: _gateway(options, machine, keys, config),
        notes=placement.notes,
        warnings=placement.warnings,
    )


def _servers(
    options: LaunchOptions,
    engine: Engine,
    models: Sequence[ModelFiles],
    placement: Placement,
    machine: Machine,
) -> list[ModelServer]:
    slots = options.slots or (DEFAULT_SLOTS if engine is Engine.LLAMA_CPP else None)
    rooms = slots or DEFAULT_SLOTS
    tiny = [is_tiny(model.weights) for model in models]  # bytes for parameters: near enough
    return [
        ModelServer(
            name=name,
            model=model.path,
            port=machine.ports[which],
            key=f"RELAYGEN_{name.upper()}_SERVER_KEY",
            context_tokens=placement.context_tokens,
            slots=slots,
            threads=options.threads or _threads(engine, machine.cores, tiny=tiny[which]),
            gpus=placement.gpus[which],
            memory_fraction=placement.fractions[which],
            rest_fraction=placement.rest_fractions[which],
            cache_bytes=model.cache_per_token * placement.context_tokens * rooms,
            dtype=options.dtype,
            gpu_layers=_gpu_layers(options, machine),
            draft=options.draft if which == 0 else None,
            flags=(options.large_flags, options.small_flags)[which],
        )
        for which, (name, model) in enumerate(zip(("large", "small"), models, strict=True))
    ]


def _threads(engine: Engine, cores: int, *, tiny: bool) -> int:
    """One for tiny models; all cores in llama.cpp, which sleeps while it waits; half in vLLM."""
    if tiny:
        return 1
    return cores if engine is Engine.LLAMA_CPP else max(1, cores // 2)


def _gpu_layers(options: LaunchOptions, machine: Machine) -> int | None:
    return options.gpu_layers if machine.use_gpus else 0


def _command(engine: Engine, server: ModelServer, machine: Machine) -> Command:
    if engine is Engine.LLAMA_CPP:
        return llama_command(server, binary=machine.llama_server, python=machine.python)
    if engine is Engine.SGLANG:
        return sglang_command(server, python=machine.server_python)
    return vllm_command(server, python=machine.server_python)


def _gateway(
    options: LaunchOptions, machine: Machine, keys: Sequence[str], config: Path
) -> Service:
    return Service(
        name="gateway",
        command=gateway_command(python=machine.python, config=config, keys=keys),
        host=options.host,
        port=options.port,
        ready_path="/health/ready",
        runs="gateway",
        grace_s=_GATEWAY_GRACE_S,
    )
