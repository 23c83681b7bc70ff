"""The command line on the embedded pair's files, with engines that recite instead of computing.

Also a program, for tests that need a process: ``python -m tests.cli.simulated [--stall] ARGS``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from relaygen.engines.base import Engine
from relaygen.engines.simulated import Fault, ScriptedModel, SimulatedEngine
from relaygen.tokens import Tokenizer

TEXT = (
    "Mia has 347 apples. So, she buys 58 more and the two numbers add up. That is 405.\n\n"
    "Wait, the ones are 15. Thus, the sum is 405 and nothing else is asked. The reasoning of this "
    "story is long enough for the small model to write the answer, which it does after the tag."
)
ANSWER = "The answer is \\boxed{405}."
"""What both models recite."""


def engine_factory(
    text: str = f"{TEXT}\n</think>\n\n{ANSWER}",
    *,
    fault: Fault | None = None,
    context_tokens: int = 2048,
) -> Callable[..., Engine]:
    """A stand-in for `relaygen.engines.registry.open_engine`."""

    def open_engine(kind: str, path: Path, *rest: Any, **options: Any) -> Engine:
        tokenizer = Tokenizer.load(path)
        model = ScriptedModel(
            tokenizer.encode(text, parse_special=True),
            vocab_size=tokenizer.vocab_size,
            end_token=min(tokenizer.eos_ids),
        )
        return SimulatedEngine(model, inline=True, faults=fault, context_tokens=context_tokens)

    return open_engine


if __name__ == "__main__":
    from relaygen.api import model
    from relaygen.cli import main

    stall = "--stall" in sys.argv
    fault = Fault(kind="stall", after=8) if stall else None
    model.open_engine = engine_factory(fault=fault)  # type: ignore[assignment]
    sys.exit(main([a for a in sys.argv[1:] if a != "--stall"]))
