"""``relaygen trace view`` and ``run --html``: pages from traces, or one line that says why not."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.views.generations import QUESTION, generation, hostile

from .conftest import STORY, Cli, Recite


def _held(page: Path) -> list[dict[str, Any]]:
    """The generations that a page carries."""
    text = page.read_text(encoding="utf-8")
    (block,) = re.findall(r'<script type="application/json" id="trace">(.*?)</script>', text)
    held: list[dict[str, Any]] = json.loads(block)["generations"]
    return held


def _write(file: Path, made: object) -> str:
    file.write_text(json.dumps(made), encoding="utf-8")
    return str(file)


def test_run_draws_what_it_traces(cli: Cli, tmp_path: Path) -> None:
    page, trace = tmp_path / "page.html", tmp_path / "trace.json"
    ran = cli("run", STORY, "--html", str(page), "--trace", str(trace), "-q")
    assert (ran.code, ran.err) == (0, "")
    saved = json.loads(trace.read_text(encoding="utf-8"))
    assert _held(page) == [saved]
    assert all(s["margins"] is not None for s in saved["trace"]["segments"])
    again = tmp_path / "again.html"
    assert cli("trace", "view", str(trace), "-o", str(again)).code == 0
    assert again.read_bytes() == page.read_bytes()


def test_json_output_is_a_trace_too(cli: Cli, tmp_path: Path) -> None:
    trace = tmp_path / "out.json"
    trace.write_text(cli("run", STORY, "--json").out, encoding="utf-8")
    ran = cli("trace", "view", str(trace))
    assert ran.code == 0
    assert ran.out == ""
    assert ran.err == f"relaygen: wrote {tmp_path / 'out.html'}\n"
    assert len(_held(tmp_path / "out.html")) == 1


def test_several_files_stand_side_by_side(cli: Cli, tmp_path: Path) -> None:
    made = [generation(policy) for policy in ("large", "small", "relay")]
    files = [_write(tmp_path / f"{n}.json", one) for n, one in enumerate(made[:1])]
    files.append(_write(tmp_path / "rest.json", {"generations": made[1:]}))
    page = tmp_path / "page.html"
    assert cli("trace", "view", *files, "-o", str(page)).code == 0
    assert _held(page) == made


def test_hostile_text_stays_in_its_block(cli: Cli, recite: Recite, tmp_path: Path) -> None:
    recite("a</script><script>alert(1)</script>\n</think>\n\nb")
    page = tmp_path / "page.html"
    question = "x </script><img src=x onerror=alert(1)>"
    assert cli("run", question, "--policy", "large", "--html", str(page), "-q").code == 0
    text = page.read_text(encoding="utf-8")
    assert "alert(1)</script>" not in text
    assert "<img" not in text
    (held,) = _held(page)
    assert "</script><script>alert(1)</script>" in held["text"]


def test_different_questions_are_not_compared(cli: Cli, tmp_path: Path) -> None:
    one = _write(tmp_path / "one.json", generation())
    other = _write(tmp_path / "other.json", hostile())
    ran = cli("trace", "view", one, other)
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "different questions" in ran.err
    assert QUESTION not in ran.err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["one.json", "other.json"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "there is no file"),
        (b"", "is not JSON"),
        (b"\x1b[31m\xff", "is not JSON"),
        (b'{"text": "hello"}', "is no trace"),
        (b'{"generations": []}', "is no trace"),
    ],
)
def test_what_is_no_trace_is_one_line(
    cli: Cli, tmp_path: Path, content: bytes | None, says: str
) -> None:
    file = tmp_path / "t.json"
    if content is not None:
        file.write_bytes(content)
    ran = cli("trace", "view", str(file))
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert says in ran.err
    assert "\x1b" not in ran.err
    assert not (tmp_path / "t.html").exists()


def test_folders_and_bad_places_are_refused(cli: Cli, tmp_path: Path) -> None:
    file = _write(tmp_path / "t.html", generation())
    for arguments, says in [
        ((str(tmp_path),), "cannot be read"),
        ((file, "-o", str(tmp_path / "no" / "p.html")), "there is no folder"),
        ((file, "-o", str(tmp_path)), "is a folder"),
        ((file,), "name another file"),
        ((), "FILE"),
    ]:
        ran = cli("trace", "view", *arguments)
        assert (ran.code, ran.err.count("\n")) == (2, 1), ran.err
        assert says in ran.err
    assert json.loads((tmp_path / "t.html").read_bytes()) == generation()
    assert cli("trace").code == 2
    assert "there is no folder" in cli("run", STORY, "--html", str(tmp_path / "no" / "p")).err
