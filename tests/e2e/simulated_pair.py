"""``relaygen serve`` in front of two simulated model servers that run in this process.

The gateway and its connections are real; what the servers do can be seen from their counters.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from relaygen import demo_models
from relaygen.engines.simulated import SimulatedEngine
from relaygen.engines.simulated.behaviour import Latency
from relaygen.engines.simulated.prompted import PromptedScripts
from relaygen.engines.simulated.server import Backend, SimulatedServer, TokenizerVocabulary
from relaygen.tokens import Tokenizer

from .fleet import gateway

MODEL = "relay"
_INSTANT = Latency()


@cache
def tokenizer() -> Tokenizer:
    return Tokenizer.load(demo_models.hf_folder("large"))


@dataclass
class SimulatedPair:
    """What runs."""

    url: str
    backends: Mapping[str, Backend]

    def working(self) -> int:
        """Legs that a server is busy with."""
        return sum(backend.running for backend in self.backends.values())

    def written(self) -> int:
        """Tokens so far."""
        return sum(b.engine.counters.generated_tokens for b in self.backends.values())


def reciter(text: str, *, latency: Latency = _INSTANT) -> Backend:
    """A simulated vLLM that answers every prompt with this text, reasoning and end tag included."""
    vocabulary = TokenizerVocabulary(tokenizer())
    model = PromptedScripts(
        lambda _: tokenizer().encode(text, parse_special=True),
        marker=vocabulary.encode("<think>\n"),
        vocab_size=len(vocabulary),
        end_token=min(tokenizer().eos_ids),
    )
    engine = SimulatedEngine(model, vocabulary=vocabulary, latency=latency)
    return Backend(model, vocabulary, dialect="vllm", engine=engine, eos_ids=tokenizer().eos_ids)


@asynccontextmanager
async def serving(folder: Path, backends: Mapping[str, Backend]) -> AsyncIterator[SimulatedPair]:
    """Serves a large and a small model, and a gateway before them."""
    async with AsyncExitStack() as stack:
        pools = ""
        for role, backend in backends.items():
            server = await stack.enter_async_context(SimulatedServer(backend))
            pools += f"[{role}]\nreplicas = ['{server.url}']\ndialect = '{backend.dialect}'\n"
        folder_of_both = str(demo_models.hf_folder("large"))
        relay = f"[relay]\nname = '{MODEL}'\nprofile = 'demo'\ntokenizer = {folder_of_both!r}\n"
        door = gateway(folder, relay + pools)
        await door.start()
        try:
            yield SimulatedPair(door.url, backends)
        finally:
            assert await door.stop() == 0
