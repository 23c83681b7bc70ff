"""The trace file: what was written, and what is needed to write it again."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from relaygen.api import Model, Options, SyncRelay
from relaygen.cli.options import PairOptions
from relaygen.cli.pair import PairPaths, Writing
from relaygen.runner import Result
from relaygen.types import ModelRole, Sampling
from relaygen.views.result_json import result_object

SCHEMA_VERSION: Final = 1
_SAMPLES: Final = 64
_SAMPLE_BYTES: Final = 65_536


def trace_object(
    result: Result,
    *,
    relay: SyncRelay,
    paths: PairPaths,
    pair: PairOptions,
    writing: Writing,
    options: Options,
    messages: Sequence[dict[str, str]],
) -> dict[str, Any]:
    """The result's object, and under ``run`` how it came about."""
    from relaygen import __version__

    core = relay.relay
    prompt = core.prompt(messages, options)
    cues = options.cues if options.cues is not None else core.profile.cues if core.profile else ()
    files = {ModelRole.LARGE: paths.large, ModelRole.SMALL: paths.small}
    return {
        "schema_version": SCHEMA_VERSION,
        **result_object(result),
        "run": {
            "relaygen": __version__,
            "python": platform.python_version(),
            "platform": platform.platform(),
            "models": {
                str(role): _model(model, files[role], core.sampling(role, options))
                for role, model in core.models.items()
            },
            "tokenizer_fingerprint": core.fingerprint,
            "threads": pair.threads,
            "gpu_layers": pair.gpu_layers,
            "profile": None if writing.profile is None else writing.profile.name,
            "cues": [
                {"text": c.text, "position": str(c.position), "confirm_tokens": c.confirm_tokens}
                for c in cues
            ],
            "policy": options.policy,
            "handoff_share": options.handoff_share,
            "config": asdict(writing.config),
            "seed": options.seed,
            "max_tokens": options.max_tokens,
            "stop": list(options.stop),
            "template": dict(options.template),
            "messages": list(messages),
            "prompt": prompt.text,
            "prompt_token_ids": list(prompt.ids),
        },
    }


def sampled_sha256(path: Path) -> str:
    """A hash of a model's size and of 64 places in it: quick also for 40 GB, no proof of origin.

    Args:
        path: a file, or a folder whose safetensors count.
    """
    digest = hashlib.sha256()
    for file in [path] if path.is_file() else sorted(path.glob("*.safetensors")):
        size = file.stat().st_size
        digest.update(f"{size}\n".encode())
        with file.open("rb") as data:
            for place in range(_SAMPLES):
                data.seek(max(0, size - _SAMPLE_BYTES) * place // (_SAMPLES - 1))
                digest.update(data.read(_SAMPLE_BYTES))
    return digest.hexdigest()


def _model(model: Model, path: Path, sampling: Sampling) -> dict[str, Any]:
    return {
        "name": model.name,
        "path": str(path.absolute()),
        "sampled_sha256": sampled_sha256(path),
        "engine": type(model.engine).__name__,
        "context_tokens": model.engine.capabilities().context_tokens,
        "sampling": {k: v for k, v in asdict(sampling).items() if k not in ("seed", "logit_bias")},
    }
