"""llama.cpp's HTTP server out of the xllamacpp wheel: ``python -m relaygen.launch.llama_server``.

For machines without a ``llama-server``. It takes the flags that a launch gives, spelled as
llama-server spells them, and its key from ``LLAMA_API_KEY``.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from collections.abc import Sequence
from typing import Any, NoReturn


class _Parser(argparse.ArgumentParser):
    """One line for a mistake: a launch shows what is written here for each server, and once more."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {message} (--help shows the flags)\n")


def parser() -> argparse.ArgumentParser:
    """The flags that are understood here."""
    flags = _Parser(prog="python -m relaygen.launch.llama_server")
    flags.add_argument("-m", "--model", required=True)
    flags.add_argument("-a", "--alias", default="")
    flags.add_argument("--host", default="127.0.0.1")
    flags.add_argument("--port", type=int, default=8080)
    flags.add_argument("-c", "--ctx-size", type=int, default=0)
    flags.add_argument("-np", "--parallel", type=int, default=1)
    flags.add_argument("-b", "--batch-size", type=int, default=2048)
    flags.add_argument("-ub", "--ubatch-size", type=int, default=512)
    flags.add_argument(
        "-cb", "--cont-batching", action=argparse.BooleanOptionalAction, default=True
    )
    flags.add_argument("-fa", "--flash-attn", choices=("on", "off", "auto"), default="auto")
    flags.add_argument("-ngl", "--n-gpu-layers", type=int, default=-1)
    flags.add_argument("-t", "--threads", type=int, default=-1)
    flags.add_argument("-tb", "--threads-batch", type=int, default=-1)
    flags.add_argument("--cache-reuse", type=int, default=0)
    flags.add_argument("--cache-ram", type=int, default=0)
    flags.add_argument("--context-shift", action=argparse.BooleanOptionalAction, default=False)
    flags.add_argument("--threads-http", type=int, default=-1)
    flags.add_argument("--metrics", action="store_true")
    flags.add_argument("--webui", action=argparse.BooleanOptionalAction, default=False)
    flags.add_argument("-lv", "--log-verbosity", type=int, default=3)
    return flags


def main(arguments: Sequence[str] | None = None) -> int:
    """Serves until SIGTERM or SIGINT."""
    given = parser().parse_args(arguments)
    import xllamacpp

    try:
        server = xllamacpp.Server(parameters(xllamacpp, given, os.environ.get("LLAMA_API_KEY")))
    except RuntimeError as error:
        print(f"llama.cpp did not start: {error}", file=sys.stderr)  # noqa: T201
        return 1
    # Only now: while it starts, the server installs handlers of its own, which end it but not us.
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    print(f"listening on {server.listening_address}", file=sys.stderr, flush=True)  # noqa: T201
    ended.wait()
    del server  # ends the running requests, and waits for its threads
    return 0


def parameters(xllamacpp: Any, given: argparse.Namespace, key: str | None) -> Any:
    """The flags as llama.cpp's own structure."""
    attention = xllamacpp.llama_flash_attn_type
    flash = {
        "on": attention.LLAMA_FLASH_ATTN_TYPE_ENABLED,
        "off": attention.LLAMA_FLASH_ATTN_TYPE_DISABLED,
        "auto": attention.LLAMA_FLASH_ATTN_TYPE_AUTO,
    }
    wanted = xllamacpp.CommonParams()
    wanted.model.path = given.model
    wanted.model_alias = {given.alias} if given.alias else set()
    wanted.hostnames, wanted.port = [given.host], given.port
    wanted.n_ctx, wanted.n_parallel = given.ctx_size, given.parallel
    wanted.n_batch, wanted.n_ubatch = given.batch_size, given.ubatch_size
    wanted.cont_batching, wanted.flash_attn_type = given.cont_batching, flash[given.flash_attn]
    wanted.n_gpu_layers = given.n_gpu_layers
    wanted.cpuparams.n_threads = given.threads
    wanted.cpuparams_batch.n_threads = given.threads_batch
    wanted.n_cache_reuse, wanted.cache_ram_mib = given.cache_reuse, given.cache_ram
    wanted.cache_idle_slots = given.cache_ram != 0
    wanted.ctx_shift, wanted.n_threads_http = given.context_shift, given.threads_http
    wanted.endpoint_metrics, wanted.ui = given.metrics, given.webui
    wanted.verbosity = given.log_verbosity
    wanted.api_keys = [key] if key else []
    return wanted


if __name__ == "__main__":
    sys.exit(main())
