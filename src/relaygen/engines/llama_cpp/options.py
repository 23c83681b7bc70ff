"""How a model is loaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from relaygen.errors import ModelLoadError


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelOptions:
    """How to load a model. None chooses what measured best, or llama.cpp's own default.

    Attributes:
        context_tokens: that each sequence can hold; None: what the model was trained for, at most
            8,192.
        sequences: that run at once or stay cached; None: 1 to 16, as memory allows.
        gpu_layers: layers to put on a GPU; None: as many as fit, where the build has one.
        decode_threads: for one token; None: 1 for tiny models, else a thread a core.
        read_threads: for several tokens at once; None: a thread a core (tiny models: at most 4).
        flash_attention: None: off on a CPU up to 4,096 tokens of context, where it costs 3 % of a
            decode step and 30 % of a short read; llama.cpp's choice elsewhere.
        library: llama.cpp's library; None: ``RELAYGEN_LIBLLAMA``, else the one in xllamacpp.
    """

    context_tokens: int | None = None
    sequences: int | None = None
    gpu_layers: int | None = None
    decode_threads: int | None = None
    read_threads: int | None = None
    flash_attention: bool | None = None
    library: str | Path | None = None

    def __post_init__(self) -> None:
        least = {"context_tokens": 16, "sequences": 1, "decode_threads": 1, "read_threads": 1}
        for name, lowest in least.items():
            value = getattr(self, name)
            if value is not None and value < lowest:
                raise ModelLoadError(f"{name} is {value}; give at least {lowest}, or leave it out")
