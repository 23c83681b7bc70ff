"""A gateway over two simulated engines that recite a text with the embedded pair's tokenizer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import count
from typing import Any

from starlette.applications import Starlette

from relaygen import demo_models, profiles
from relaygen.api import Model, Relay
from relaygen.api.pairing import Match, match
from relaygen.chat import ChatEncoder, ChatTemplate
from relaygen.engines.simulated import Fault, ScriptedModel, SimulatedEngine
from relaygen.gateway import Service, create_app
from relaygen.settings import KeySettings, ServerSettings
from relaygen.tokens import Tokenizer
from relaygen.types import ModelRole, Sampling
from tests.gateway.asgi import Client

LARGE, SMALL = ModelRole.LARGE, ModelRole.SMALL
REASONING = (
    "Mia has 347 apples. So, she buys 58 more and the two numbers add up. That is 405.\n\n"
    "Wait, the ones are 15. Thus, the sum is 405 and nothing else is asked. The reasoning of this "
    "story is long enough for the small model to write the answer, which it does after the tag.\n"
)
ANSWER = "\n\nThe answer is \\boxed{405}."
TEXT = f"{REASONING}</think>{ANSWER}"
"""What both models recite; the embedded pair's template opens the reasoning."""


@cache
def tokenizer() -> Tokenizer:
    return Tokenizer.load(demo_models.hf_folder("large"))


@cache
def _match() -> Match:
    return match(tokenizer(), tokenizer(), profiles.load("demo"))


@dataclass
class Clock:
    """Seconds that pass when a test says so."""

    now: float = 100.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Pair:
    """An open gateway, and what a test may want to look at."""

    app: Starlette
    client: Client
    relay: Relay
    engines: dict[ModelRole, SimulatedEngine]
    service: Service
    clock: Clock = field(default_factory=Clock)

    async def idle(self) -> None:
        """Returns once no leg is at work."""
        while any(engine.counters.active_legs for engine in self.engines.values()):
            await asyncio.sleep(0)


@asynccontextmanager
async def pair(
    text: str = TEXT,
    *,
    settings: ServerSettings | None = None,
    keys: Sequence[KeySettings] = (),
    faults: Mapping[ModelRole, Mapping[int, Fault] | Fault] | None = None,
    inline: bool = False,
    context_tokens: int = 2048,
    template: str | None = None,
    encoder: ChatEncoder | None = None,
    profile: bool = True,
    engine: Callable[..., SimulatedEngine] = SimulatedEngine,
    tracing: Any = None,
    **service: Any,
) -> AsyncIterator[Pair]:
    """Opens one; at the end no leg may be left in its engines."""
    script = tokenizer().encode(text, parse_special=True)
    engines = {
        role: engine(
            ScriptedModel(
                script, vocab_size=tokenizer().vocab_size, end_token=min(tokenizer().eos_ids)
            ),
            inline=inline,
            faults=(faults or {}).get(role),
            context_tokens=context_tokens,
        )
        for role in (LARGE, SMALL)
    }
    models = [
        Model(name=str(role), engine=opened, tokenizer=tokenizer(), sampling=Sampling())
        for role, opened in engines.items()
    ]
    matched = _match()
    if template is not None:
        encoder = ChatEncoder(tokenizer(), ChatTemplate(template, tokenizer().special_tokens))
    if encoder is not None:
        matched = replace(matched, encoder=encoder)
    relay = Relay(*models, profile=profiles.load("demo") if profile else None, matched=matched)
    clock, numbers = Clock(), count(1)
    named = Service(
        relay,
        name="pair",
        new_id=lambda: f"{next(numbers):06d}",
        wall_clock=lambda: 1_700_000_000.0,
        **service,
    )
    app = create_app(
        named,
        settings,
        keys,
        clock=time.perf_counter if tracing else clock,
        tracing=tracing,
    )
    opened = Pair(app, Client(app), relay, engines, named, clock)
    try:
        yield opened
        await opened.idle()
    finally:
        await relay.aclose()
