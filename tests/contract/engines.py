"""The engines that the contract suite runs on: one factory each.

To add an engine, write a factory that opens it on a small model with a context of at least 512
tokens, and list it in `ENGINES` with what it lacks: tests that need that are left out for it. A
factory skips, with its reason, where its part cannot be installed. A factory may be a coroutine.
"""

from __future__ import annotations

import atexit
import functools
import shutil
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from relaygen.engines.base import Engine
from relaygen.engines.pool import PoolEngine, Replica
from relaygen.engines.simulated import ByteVocabulary, Fault, RandomModel, SimulatedEngine
from relaygen.errors import EngineError

FAILS_AFTER = 3


@dataclass(frozen=True, kw_only=True)
class Case:
    """An opened engine.

    Attributes:
        engine: to test.
        evaluated: tokens it has worked on since it was opened; None where it does not say.
        failing: the same engine, made to fail after `FAILS_AFTER` tokens of each leg; or None.
        token_bytes: for stop strings, where it honours any.
        tolerance: largest difference of log-probabilities between reading at once and in steps.
        close: what else to close after the engine.
    """

    engine: Engine
    evaluated: Callable[[], int] | None = None
    failing: Callable[[], Engine | Awaitable[Engine]] | None = None
    token_bytes: Callable[[int], bytes] | None = None
    tolerance: float = 1e-9
    close: Callable[[], Awaitable[None]] | None = None


def simulated(*, inline: bool) -> Case:
    vocabulary = ByteVocabulary(["the", "and", " so"])

    def opened(fault: Fault | None = None) -> SimulatedEngine:
        model = RandomModel(len(vocabulary))
        return SimulatedEngine(
            model, vocabulary=vocabulary, inline=inline, context_tokens=512, faults=fault
        )

    engine = opened()
    return Case(
        engine=engine,
        evaluated=lambda: engine.counters.prompt_tokens + engine.counters.generated_tokens,
        failing=lambda: opened(Fault(kind="fail", after=FAILS_AFTER, retryable=False)),
        token_bytes=vocabulary.token_bytes,
    )


async def over_http(dialect: str) -> Case:
    """A simulated server on a real socket, in each dialect's words."""
    from relaygen.engines.openai_http import HTTPOptions, OpenAIHTTPEngine
    from relaygen.engines.simulated.server import Backend, SimulatedServer
    from tests.engines.openai_http.byte_tokenizer import AsciiModel, ByteTokenizer

    stack = AsyncExitStack()
    # Text in and out only repeats ids that text can write, each in one way.
    ids = dialect != "text"
    vocabulary = ByteVocabulary(["the", "and", " so"] if ids else [])
    model = RandomModel(len(vocabulary)) if ids else AsciiModel(len(vocabulary))

    async def opened(fault: Fault | None = None) -> OpenAIHTTPEngine:
        engine = SimulatedEngine(model, vocabulary=vocabulary, context_tokens=512, faults=fault)
        backend = Backend(model, vocabulary, dialect=dialect, engine=engine)
        server = await stack.enter_async_context(SimulatedServer(backend))
        return await OpenAIHTTPEngine.connect(
            server.url,
            tokenizer=ByteTokenizer(vocabulary),
            context_tokens=None if ids else 512,
            options=HTTPOptions(original_logprobs=True, stop_strings=4),
        )

    return Case(
        engine=await opened(),
        failing=lambda: opened(Fault(kind="fail", after=FAILS_AFTER, retryable=False)),
        token_bytes=vocabulary.token_bytes,
        close=stack.aclose,
    )


def pool() -> Case:
    """Three replicas, so that a test that passes has found the one that holds its sequence."""
    cases = [simulated(inline=False) for _ in range(3)]

    def opened(engines: list[Engine]) -> Engine:
        return PoolEngine([Replica(name=f"r{i}", engine=e) for i, e in enumerate(engines)])

    return replace(
        cases[0],
        engine=opened([case.engine for case in cases]),
        evaluated=lambda: sum(case.evaluated() for case in cases if case.evaluated),
        failing=lambda: opened([case.failing() for case in cases if case.failing]),
    )


async def real_llama_server() -> Case:
    """The llama-server inside the xllamacpp wheel."""
    from relaygen.engines.openai_http import OpenAIHTTPEngine

    engine = await OpenAIHTTPEngine.connect(started_llama_server())
    return Case(engine=engine, tolerance=1e-2)  # of keys and values in half precision


@functools.cache
def started_llama_server() -> str:
    """Its address; it ends with the process."""
    import xllamacpp

    from tests.engines.llama_cpp_models import tiny_qwen3 as tiny_gguf

    params = xllamacpp.CommonParams()
    params.model.path = str(tiny_gguf())
    params.n_ctx, params.n_parallel, params.port, params.n_gpu_layers = 4 * 512, 4, 0, 0
    params.cpuparams.n_threads = 1
    params.warmup = False
    params.verbosity = -1
    server = xllamacpp.Server(params)
    RUNNING.append(server)
    return str(server.listening_address)


RUNNING: list[object] = []


def hf() -> Case:
    pytest.importorskip("torch", reason="pip install 'relaygen[hf]'")
    pytest.importorskip("transformers", reason="pip install 'relaygen[hf]'")
    from relaygen.engines.hf import HfEngine

    engine = HfEngine(tiny_qwen3(), threads=1)

    def failing() -> HfEngine:
        broken = HfEngine(tiny_qwen3())
        passes = 0

        def forward(module: object, arguments: object) -> None:
            nonlocal passes
            passes += 1
            if passes > FAILS_AFTER:
                raise RuntimeError("out of memory, or so the test says")

        broken._model._network.register_forward_pre_hook(forward)
        return broken

    return Case(
        engine=engine,
        evaluated=lambda: engine.tokens_evaluated,
        failing=failing,
        tolerance=1e-3,
    )


def llama_cpp() -> Case:
    from relaygen.engines.llama_cpp import LlamaCppEngine, ModelOptions
    from tests.engines.llama_cpp_models import tiny_qwen3 as tiny_gguf

    def opened() -> LlamaCppEngine:
        return LlamaCppEngine(tiny_gguf(), ModelOptions(sequences=4, read_threads=1))

    engine = opened()

    def failing() -> LlamaCppEngine:
        broken = opened()
        evaluate, steps = broken._model.evaluate, 0

        def evaluate_or_fail(pieces: Any) -> list[int]:
            nonlocal steps
            steps += 1
            if steps > FAILS_AFTER:
                raise EngineError("out of memory, or so the test says")
            return evaluate(pieces)

        broken._model.evaluate = evaluate_or_fail
        return broken

    return Case(
        engine=engine,
        evaluated=lambda: engine.tokens_evaluated,
        failing=failing,
        tolerance=1e-2,  # of keys and values in half precision
    )


@functools.cache
def tiny_qwen3() -> Path:
    """A Qwen3 of random weights, sharp enough that rounding never decides between two tokens."""
    import torch
    import transformers

    torch.manual_seed(0)
    config = transformers.Qwen3Config(
        vocab_size=320,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        max_position_embeddings=512,
        initializer_range=0.2,
        tie_word_embeddings=True,
    )
    directory = Path(tempfile.mkdtemp(prefix="tiny-qwen3-"))
    atexit.register(shutil.rmtree, directory)
    transformers.Qwen3ForCausalLM(config).save_pretrained(directory)
    return directory


LACKS: dict[str, set[str]] = {
    "simulated": {"inline"},
    "simulated-inline": set(),
    "pool": {"inline"},
    "llama_cpp": {"stop_hints"},
    "hf": {"stop_hints"},
    "vllm": {"inline", "penalties"},
    "sglang": {"inline", "penalties", "scores_under_bias"},
    "llama_server": {"inline", "penalties", "scores_at_once"},
    "real-llama_server": {
        *("inline", "penalties", "scores_at_once", "stop_hints", "failing"),
        "batch_invariance",  # sums in another order: a near tie of this random model may flip
    },
    "text": {
        *("inline", "penalties", "token_by_token", "stop_hints"),
        *("scores", "top_logprobs", "prompt_scoring"),
    },
}
"""By engine, what it cannot do; `needs` on a test names what it cannot do without."""

ENGINES = [
    pytest.param(functools.partial(simulated, inline=False), id="simulated"),
    pytest.param(functools.partial(simulated, inline=True), id="simulated-inline"),
    pytest.param(pool, id="pool"),
    pytest.param(llama_cpp, id="llama_cpp"),
    *(
        pytest.param(functools.partial(over_http, dialect), id=dialect)
        for dialect in ("vllm", "sglang", "llama_server", "text")
    ),
    pytest.param(real_llama_server, id="real-llama_server"),
    pytest.param(hf, id="hf", marks=pytest.mark.hf),
]
