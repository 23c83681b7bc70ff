"""Pools of simulated replicas that can be killed and revived."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import fields
from random import Random
from typing import Any

from relaygen.engines.base import Capabilities, EngineOutput, GenerateRequest
from relaygen.engines.deadlines import LegDeadlines
from relaygen.engines.pool import PoolEngine, PoolOptions, Replica
from relaygen.engines.simulated import Fault, Latency, ScriptedModel, SimulatedEngine, TokenModel
from relaygen.errors import EngineError, EngineUnavailableError
from relaygen.types import TokenScore

VOCABULARY = 64
END = 0
SCRIPT = tuple(range(1, 41))
PROMPT = (50, 51, 52)
DECODE_S = 0.01

Faults = Mapping[int, Fault] | Fault | None


def scripted() -> ScriptedModel:
    return ScriptedModel(SCRIPT, vocab_size=VOCABULARY, end_token=END)


class Mortal:
    """A replica: dead, it refuses legs, and those that it was writing break off."""

    def __init__(
        self, name: str, model: TokenModel, faults: Faults = None, decode_s: float = DECODE_S
    ) -> None:
        self.name = name
        self.alive = True
        self.well = True
        self.legs: list[GenerateRequest] = []
        self.prefills: list[str] = []
        self.engine = SimulatedEngine(
            model, faults=faults, latency=Latency(decode_ms=1000 * decode_s)
        )

    def capabilities(self) -> Capabilities:
        return self.engine.capabilities()

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[EngineOutput]:
        self.legs.append(request)
        self._check()
        outputs = self.engine.generate(request)
        try:
            async for output in outputs:
                self._check(broken=True)
                yield output
        finally:
            await outputs.aclose()

    async def prefill(self, token_ids: Sequence[int], generation_id: str = "") -> None:
        self._check()
        self.prefills.append(generation_id)
        await self.engine.prefill(token_ids, generation_id)

    async def score(
        self, token_ids: Sequence[int], from_token: int, *, generation_id: str = ""
    ) -> tuple[TokenScore, ...]:
        self._check()
        return await self.engine.score(token_ids, from_token, generation_id=generation_id)

    async def probe(self) -> None:
        if not (self.alive and self.well):
            raise EngineUnavailableError(f"{self.name} does not answer")

    async def aclose(self) -> None:
        await self.engine.aclose()

    def _check(self, *, broken: bool = False) -> None:
        if not self.alive:
            if broken:
                raise EngineError(f"{self.name} broke off", retryable=True)
            raise EngineUnavailableError(f"{self.name} cannot be reached")


class Pool:
    """A `PoolEngine` and its replicas, by name."""

    def __init__(
        self,
        replicas: str | Sequence[Mortal] = "ABC",
        *,
        faults: Mapping[str, Faults] | None = None,
        probes: bool = False,
        unproven: str = "",
        name: str = "",
        **options: Any,
    ) -> None:
        deadlines = {f.name: options.pop(f.name) for f in fields(LegDeadlines) if f.name in options}
        if isinstance(replicas, str):
            replicas = [Mortal(name, scripted(), (faults or {}).get(name)) for name in replicas]
        self.replicas = {replica.name: replica for replica in replicas}
        self.engine = PoolEngine(
            [
                Replica(
                    name=r.name,
                    engine=r,
                    probe=r.probe if probes else None,
                    unproven="it was not there" if r.name in unproven else "",
                )
                for r in self.replicas.values()
            ],
            PoolOptions(deadlines=LegDeadlines(**deadlines), **options),
            name=name,
            random=Random(0),
        )

    def __getitem__(self, name: str) -> Mortal:
        return self.replicas[name]

    @property
    def states(self) -> dict[str, str]:
        return {r.name: str(r.state) for r in self.engine.counts().replicas}

    def users(self, generation_id: str) -> list[str]:
        """Which replicas were given legs of this generation."""
        return [
            r.name
            for r in self.replicas.values()
            if any(leg.generation_id == generation_id for leg in r.legs)
        ]


def leg(
    written: Sequence[int] = (), max_tokens: int = 100, generation_id: str = "g", **fields: Any
) -> GenerateRequest:
    return GenerateRequest(
        prompt=(*PROMPT, *written),
        max_tokens=max_tokens,
        eos_ids=frozenset({END}),
        generated_from=len(PROMPT),
        generation_id=generation_id,
        **fields,
    )


async def write(pool: Pool, request: GenerateRequest) -> tuple[int, ...]:
    outputs = [output async for output in pool.engine.generate(request)]
    return tuple(token for output in outputs for token in output.token_ids)


async def write_into(pool: Pool, request: GenerateRequest, into: list[int]) -> None:
    async for output in pool.engine.generate(request):
        into.extend(output.token_ids)


async def write_on(pool: Pool, generation_id: str = "g") -> tuple[int, ...]:
    """As a runner does: a leg that breaks off is begun again from what has arrived."""
    written: list[int] = []
    while True:
        try:
            await write_into(pool, leg(written, generation_id=generation_id), written)
            return tuple(written)
        except EngineError as error:
            if not error.retryable:
                raise
