"""Makes the embedded pair from nothing: `python -m training`. Started again, it continues where it was."""

from __future__ import annotations

import os
import subprocess
import sys

from tokenizers import Tokenizer

from training.export import BUILD
from training.tokenizer import save_tokenizer, train_tokenizer

_STAGES = (
    ("training.train", "large"),
    ("training.train", "small"),
    ("training.write_problems",),
    ("training.export", "large"),
    ("training.export", "small"),
    ("training.check_export",),
    ("training.evaluate", "--json", "training/results/test.json"),
    ("training.evaluate", "--unseen", "--count", "100", "--json", "training/results/unseen.json"),
)


def _make_tokenizer() -> Tokenizer:
    folder = BUILD / "tokenizer"
    if not (folder / "tokenizer.json").exists():
        save_tokenizer(train_tokenizer(), folder)
    return Tokenizer.from_file(str(folder / "tokenizer.json"))


def main() -> None:
    """Runs every stage; each in its own process, so that compiled code and threads do not pile up."""
    size = _make_tokenizer().get_vocab_size()
    print(f"tokenizer: {size} entries", flush=True)
    # Spinning threads waste most of a shared machine: a step took ten times as long beside one busy process.
    environment = os.environ | {"OMP_WAIT_POLICY": "PASSIVE"}
    for module, *arguments in _STAGES:
        print("==>", module, *arguments, flush=True)
        subprocess.run([sys.executable, "-m", module, *arguments], check=True, env=environment)


if __name__ == "__main__":
    main()
