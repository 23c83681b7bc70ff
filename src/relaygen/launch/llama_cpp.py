"""llama.cpp's server: every flag it is started with, and why.

Source: llama.cpp, ``tools/server/README.md`` and ``common/arg.cpp``.
"""

from __future__ import annotations

from relaygen.errors import InvalidRequestError
from relaygen.launch.command import Command
from relaygen.launch.options import Draft, DraftMethod
from relaygen.launch.ports import LOOPBACK
from relaygen.launch.server import ModelServer

OWN_MODULE = "relaygen.launch.llama_server"
DEFAULT_SLOTS = 4

_ALL_LAYERS = 999
_SHORT_CONTEXT = 4096
_TYPES = {
    DraftMethod.EAGLE3: "draft-eagle3",
    DraftMethod.DRAFT_MODEL: "draft-simple",
    DraftMethod.NGRAM: "ngram-simple",
}


def llama_command(server: ModelServer, *, binary: str | None, python: str) -> Command:
    """The command line of one llama.cpp server.

    Args:
        server: what it has to do.
        binary: ``llama-server``; None: the server inside xllamacpp, in a process of its own.
        python: an interpreter that has RelayGen.

    Raises:
        InvalidRequestError: a draft needs the binary.
    """
    if server.draft is not None and binary is None:
        raise InvalidRequestError(
            "a draft for llama.cpp needs its llama-server in PATH, which is not there; install "
            "llama.cpp, or leave --large-draft and --large-draft-method out",
            param="large_draft",
        )
    slots = server.slots or DEFAULT_SLOTS
    start = (binary,) if binary else (python, "-m", OWN_MODULE)
    flags = [
        *("--model", str(server.model)),
        *("--alias", server.name),
        *("--host", LOOPBACK),
        *("--port", str(server.port)),
        # The context is divided among the slots, and each holds one generation.
        *("--ctx-size", str(server.context_tokens * slots)),
        *("--parallel", str(slots)),
        "--cont-batching",
        *("--flash-attn", _flash_attention(server)),
        *("--n-gpu-layers", str(_layers(server))),
        *("--threads", str(server.threads)),
        *("--threads-batch", str(server.threads)),
        # Both would move keys and values to places they were not computed for: another text.
        *("--cache-reuse", "0"),
        "--no-context-shift",
        # Copies of idle slots in RAM, made when another generation begins: a handoff would wait.
        *("--cache-ram", "0"),
        # A connection holds a thread, also an idle one: two of each slot, and some that ask /health.
        *("--threads-http", str(2 * slots + 4)),
        "--metrics",
        "--no-webui",
        *("--log-verbosity", "1"),  # errors: it warns of every leg that a handoff ends early
    ]
    if server.draft is not None:
        flags += _draft_flags(server.draft)
    return Command(
        argv=(*start, *flags, *server.flags),
        keys={"LLAMA_API_KEY": server.key},
        # Its settings from the environment would come on top of these.
        without=("LLAMA_ARG_",),
    )


def _flash_attention(server: ModelServer) -> str:
    """Off where it costs: on a CPU, with a short context, 3 % of a step and 30 % of a read."""
    return "auto" if server.gpus or server.context_tokens > _SHORT_CONTEXT else "off"


def _layers(server: ModelServer) -> int:
    return _ALL_LAYERS if server.gpu_layers is None else server.gpu_layers


def _draft_flags(draft: Draft) -> list[str]:
    flags = ["--spec-type", _TYPES[draft.method], "--spec-draft-n-max", str(draft.tokens)]
    return flags if draft.path is None else [*flags, "--model-draft", str(draft.path)]
