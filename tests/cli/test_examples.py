"""Examples in docstrings of the public surface and in ``docs/library.md`` run as they stand."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

import relaygen

ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def _examples() -> Iterator[object]:
    library = (ROOT / "docs" / "library.md").read_text(encoding="utf-8")
    for number, match in enumerate(_BLOCK.finditer(library)):
        yield pytest.param(match[1], id=f"library.md-{number}")
    package = ROOT / "src" / "relaygen"
    public = [package / "__init__.py"]
    for folder in ("api", "cli", "views"):
        public += sorted((package / folder).rglob("*.py"))
    for file in public:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, _DOCUMENTED):
                for match in _BLOCK.finditer(ast.get_docstring(node) or ""):
                    yield pytest.param(
                        textwrap.dedent(match[1]), id=f"{file.stem}-{getattr(node, 'name', '')}"
                    )


@pytest.mark.parametrize("source", list(_examples()))
async def test_example(source: str) -> None:
    code = compile(source, "<example>", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    running = eval(code, {"__name__": "example"})
    if inspect.isawaitable(running):
        await running


def test_every_public_name_is_there() -> None:
    assert dir(relaygen) == sorted(relaygen.__all__)
    for name in relaygen.__all__:
        assert getattr(relaygen, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = relaygen.nonsense  # type: ignore[attr-defined]
