"""What a launch is asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from relaygen.errors import InvalidRequestError


class Engine(StrEnum):
    """Which server runs the models."""

    AUTO = "auto"
    LLAMA_CPP = "llama.cpp"
    VLLM = "vllm"
    SGLANG = "sglang"


class DraftMethod(StrEnum):
    """How tokens of the large model are drafted, for speculative decoding."""

    EAGLE3 = "eagle3"
    DRAFT_MODEL = "draft_model"
    NGRAM = "ngram"


@dataclass(frozen=True, kw_only=True, slots=True)
class Draft:
    """Speculative decoding of the large model, inside its server.

    Attributes:
        method: where drafts come from.
        path: the draft model; None for n-grams, which come from the text itself.
        tokens: drafted at a time.
    """

    method: DraftMethod
    path: Path | None = None
    tokens: int = 3

    def __post_init__(self) -> None:
        if (self.path is None) != (self.method is DraftMethod.NGRAM):
            problem = "needs no draft model" if self.path else "needs a draft model"
            remedy = "leave --large-draft out" if self.path else "give its path with --large-draft"
            raise InvalidRequestError(
                f"--large-draft-method {self.method} {problem}; {remedy}", param="large_draft"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class LaunchOptions:
    """What to start.

    Attributes:
        large: the large model's GGUF file, or its folder.
        small: likewise.
        engine: the server of both; by default what suits the files.
        tokenizer: a folder or file with both models' tokenizer; None: the large model's.
        profile: a packaged cue profile's name, or a file.
        host: where the gateway listens; the model servers listen on this machine alone.
        port: of the gateway.
        context_tokens: of one generation; None: what the models and the memory allow.
        slots: generations at once that the servers have room for; None: the server's choice.
        threads: CPU threads of each server.
        gpu_layers: layers of each model on a GPU (llama.cpp); None: all.
        tensor_parallel: GPUs that hold the large model together (vLLM, SGLang).
        dtype: of weights and activations (vLLM, SGLang); None: see the server's own module.
        draft: speculative decoding of the large model.
        large_flags: more flags for the large model's server, after all others.
        small_flags: likewise.
    """

    large: Path
    small: Path
    engine: Engine = Engine.AUTO
    tokenizer: Path | None = None
    profile: str | None = None
    host: str = "127.0.0.1"
    port: int = 8080
    context_tokens: int | None = None
    slots: int | None = None
    threads: int | None = None
    gpu_layers: int | None = None
    tensor_parallel: int = 1
    dtype: str | None = None
    draft: Draft | None = None
    large_flags: tuple[str, ...] = field(default=())
    small_flags: tuple[str, ...] = field(default=())
