"""SGLang's server: every flag it is started with, and why.

It takes its API key on the command line only, where every user of the machine can read it; so it
gets none, and relies on listening on this machine alone.

Source: SGLang's documentation, "Server Arguments", and ``model_runner_kv_cache_mixin.py``.
"""

from __future__ import annotations

from relaygen.launch.command import Command
from relaygen.launch.options import Draft, DraftMethod
from relaygen.launch.ports import LOOPBACK
from relaygen.launch.server import ModelServer

MODULE = "sglang.launch_server"

_ALGORITHMS = {
    DraftMethod.EAGLE3: "EAGLE3",
    DraftMethod.DRAFT_MODEL: "STANDALONE",
    DraftMethod.NGRAM: "NGRAM",
}


def sglang_command(server: ModelServer, *, python: str) -> Command:
    """The command line of one SGLang server. Its prefix cache is on by default.

    Args:
        server: what it has to do.
        python: an interpreter that has SGLang.
    """
    flags = [
        *("--model-path", str(server.model)),
        *("--served-model-name", server.name),
        *("--host", LOOPBACK),
        *("--port", str(server.port)),
        *("--context-length", str(server.context_tokens)),
        *("--dtype", server.dtype or "auto"),
        "--enable-metrics",
        *("--log-level-http", "warning"),  # a generation is dozens of requests
    ]
    if server.gpus:
        # Weights and cache as a part of what is free at the start, so the second server's part
        # is of what the first one left.
        flags += ["--mem-fraction-static", f"{server.rest_fraction:.3f}"]
        flags += ["--tensor-parallel-size", str(len(server.gpus))]
    else:
        flags += ["--device", "cpu"]
    if server.slots is not None:
        flags += ["--max-running-requests", str(server.slots)]
    if server.draft is not None:
        flags += _draft_flags(server.draft)
    return Command(
        argv=(python, "-m", MODULE, *flags, *server.flags), environment=server.gpu_environment
    )


def _draft_flags(draft: Draft) -> list[str]:
    flags = ["--speculative-algorithm", _ALGORITHMS[draft.method]]
    if draft.path is not None:
        # A chain of `tokens` steps; the draft holds one token more than it has steps.
        flags += ["--speculative-draft-model-path", str(draft.path)]
        flags += ["--speculative-num-steps", str(draft.tokens), "--speculative-eagle-topk", "1"]
        return [*flags, "--speculative-num-draft-tokens", str(draft.tokens + 1)]
    return [*flags, "--speculative-num-draft-tokens", str(draft.tokens)]
