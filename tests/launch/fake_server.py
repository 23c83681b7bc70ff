"""A model server in a few lines, which behaves as badly as its flags say. Standard library only."""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

PATIENT = [sys.executable, "-I", "-S", "-c", "import signal; signal.pause()"]


def main() -> None:
    flags = argparse.ArgumentParser()
    flags.add_argument("--port", type=int, required=True)
    flags.add_argument("--die", action="store_true", help="at start, with exit code 3")
    flags.add_argument("--die-again", type=Path, help="at start, if this file is there")
    flags.add_argument("--never-ready", action="store_true")
    flags.add_argument("--warm-up", type=int, default=0, help="first answers that are 503")
    flags.add_argument("--ignore-term", action="store_true")
    flags.add_argument("--garbage", action="store_true")
    flags.add_argument("--with-child", action="store_true")
    given = flags.parse_args()
    if given.ignore_term:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    else:
        signal.signal(signal.SIGTERM, lambda *_: leave("told to stop", 0))
    say(f"pid {os.getpid()}")
    if given.with_child:
        say(f"child {subprocess.Popen(PATIENT).pid}")
    if given.garbage:
        sys.stdout.buffer.write(b"\xff\xfe half \xe2\x82\n\x1b[31mred\x1b[0m\x07\n" + b"x" * 20_000)
        say("\nend of garbage")
    if given.die or (given.die_again and given.die_again.exists()):
        say("CUDA out of memory")
        leave("cannot work like this", 3)
    if given.die_again:
        given.die_again.touch()
    serve(given.port, sys.maxsize if given.never_ready else given.warm_up)


def serve(port: int, busy: int) -> None:
    """The first `busy` answers are 503."""
    with socket.create_server(("127.0.0.1", port)) as door:
        while True:
            client, _ = door.accept()
            with client:
                request = client.recv(4096)
                if request.startswith(b"GET /die"):
                    leave("asked to die", 5)
                say(f"key {os.environ.get('FAKE_KEY')}")
                status = b"503 Busy" if busy > 0 else b"200 OK"
                busy -= 1
                client.sendall(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n")


def leave(last_words: str, code: int) -> None:
    say(last_words)
    os._exit(code)


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
