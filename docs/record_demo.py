"""Records `relaygen demo` as docs/demo.svg: `python docs/record_demo.py [--problems N] [--seed S]`."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from io import StringIO
from pathlib import Path

from rich.console import Console
from rich.text import Text

WIDTH = 100


def main() -> None:
    """Runs the demo as in a terminal with colours, and draws what it printed."""
    command = [sys.executable, "-m", "relaygen", "demo", *sys.argv[1:]]
    environment = {
        **os.environ,
        "FORCE_COLOR": "1",
        "COLUMNS": str(WIDTH),
        "TERM": "xterm-256color",
    }
    environment.pop("NO_COLOR", None)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    console = Console(record=True, width=WIDTH, file=StringIO(), force_terminal=True)
    console.print(Text("$ relaygen demo", style="bold"))
    console.print(Text.from_ansi(done.stdout))
    drawn = console.export_svg(title="relaygen demo")
    drawn = re.sub(r"@font-face\s*{[^}]*}", "", drawn)  # the reader's own fonts: nothing is fetched
    Path(__file__).with_name("demo.svg").write_text(drawn, encoding="utf-8")


if __name__ == "__main__":
    main()
