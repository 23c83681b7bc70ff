"""A Jinja environment for templates from strangers: what transformers offers, and limits.

A chat template comes inside a model file, so it is a program by someone unknown. Jinja's sandbox
keeps it away from Python's internals. What it may *cost* is limited here: every turn of a loop,
every call and every long string spends from a budget, so that no template runs on for ever.

Source: the dialect is that of transformers (``chat_template_utils.py``).
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from datetime import datetime
from functools import wraps
from typing import Any

from jinja2 import TemplateError, TemplateRuntimeError, nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace

MAX_CHARS = 8_000_000
"""Most characters of one text, the output included: some 2 million tokens."""
MAX_STEPS = 1_000_000
"""Most loop turns and calls of one rendering; 256 characters of a text count as one more."""
_MAX_NUMBER = 1_000_000
_MAX_BITS = 4_096
_WIDTH = re.compile(r"\*|\d{6,}")
_NOT_ASCII = re.compile(r"[^\x00-\x7f\U00100000-\U0010ffff]")

_budget: ContextVar[Budget | None] = ContextVar("relaygen_template_budget", default=None)


class Budget:
    """What one rendering may still spend. A context manager: it holds for the code inside."""

    def __init__(self, steps: int = MAX_STEPS) -> None:
        self._left = steps

    def __enter__(self) -> None:
        self._token = _budget.set(self)

    def __exit__(self, *_: object) -> None:
        _budget.reset(self._token)

    def spend(self, steps: int) -> None:
        """Takes `steps`; raises if there are not so many left."""
        self._left -= steps
        if self._left < 0:
            raise TemplateRuntimeError("the template does too much work (a loop without end?)")


def _spend(steps: int = 1) -> None:
    budget = _budget.get()
    if budget is not None:
        budget.spend(steps)


def _refuse_long(length: int) -> None:
    if length > MAX_CHARS:
        raise TemplateRuntimeError(
            f"the template makes a text of more than {MAX_CHARS:,} characters"
        )
    _spend(length // 256)


def _measure(value: object) -> None:
    """Spends for the size of a value, for structures can share parts and explode when written."""
    if isinstance(value, str):
        _refuse_long(len(value))
    elif isinstance(value, Mapping | list | tuple):
        _spend(1)
        parts = itertools.chain(value, value.values()) if isinstance(value, Mapping) else value
        for part in parts:
            _measure(part)


def _each(iterable: Iterable[Any]) -> Iterator[Any]:
    for item in iterable:
        _spend()
        yield item


def _joined(parts: Iterable[Any]) -> str:
    texts = []
    for part in parts:
        _measure(part)
        texts.append(str(part))
    _refuse_long(sum(map(len, texts)))
    return "".join(texts)


def _check_arguments(name: str, owner: object, args: tuple[Any, ...], named: Any) -> None:
    """Refuses arguments that make a short call produce a huge result."""
    values = (*args, *named.values())
    if any(isinstance(value, int) and abs(value) > _MAX_NUMBER for value in values):
        raise TemplateRuntimeError(f"{name}() with a number above {_MAX_NUMBER:,}")
    if name in ("format", "format_map") and isinstance(owner, str) and _WIDTH.search(owner):
        raise TemplateRuntimeError("format() with a huge width")
    if name == "replace" and isinstance(owner, str) and len(args) > 1:
        _refuse_long(len(owner) + owner.count(str(args[0])) * len(str(args[1])))
    if name in ("join", "string", "tojson", "pprint", "urlize", "list"):
        _measure(owner)
        for value in values:
            _measure(value)


class _Generation(Extension):
    """``{% generation %}`` marks assistant text for training; here it only groups."""

    tags = {"generation"}  # noqa: RUF012 (Jinja's own declaration)

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.Scope(body).set_lineno(line)


class _PlainNamespace(Namespace):
    """``namespace()`` without names that begin with an underscore."""

    def __setitem__(self, name: str, value: Any) -> None:
        if name.startswith("_"):
            raise TemplateRuntimeError(f"namespace() cannot hold {name!r}")
        super().__setitem__(name, value)


class TemplateEnvironment(ImmutableSandboxedEnvironment):
    """The sandbox, with a budget."""

    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self, now: Callable[[], datetime]) -> None:
        super().__init__(
            trim_blocks=True,
            lstrip_blocks=True,
            optimized=False,  # folding would run the template's constants outside the budget
            extensions=[_Generation, loopcontrols],
            finalize=_finalized,
        )
        self.filters = {name: _guarded(name, call) for name, call in self.filters.items()}
        self.filters |= {"tojson": _guarded("tojson", _tojson), "_each": _each, "_joined": _joined}
        self.globals.pop("lipsum")
        self.globals["raise_exception"] = _raise_exception
        self.globals["strftime_now"] = lambda form: now().strftime(form)
        self.globals["namespace"] = _PlainNamespace

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Refuses an operation whose result would be huge."""
        _check_operation(operator, left, right)
        return super().call_binop(context, operator, left, right)

    def call(__self, __context: Any, __obj: Any, *args: Any, **named: Any) -> Any:  # noqa: N805
        """Spends for each call; the names leave the template's keywords free."""
        _spend()
        name = getattr(__obj, "__name__", "")
        method = getattr(__obj, "__wrapped__", __obj)  # the sandbox wraps str.format
        _check_arguments(name, getattr(method, "__self__", None), args, named)
        result = super().call(__context, __obj, *args, **named)
        if isinstance(result, str):
            _refuse_long(len(result))
        return result

    def limited(self, source: str) -> nodes.Template:
        """Parses `source` and puts the budget into its loops and concatenations."""
        tree = self.parse(source)
        for loop in list(tree.find_all(nodes.For)):
            loop.iter = _through("_each", loop.iter)
        _replace_concatenations(tree)
        tree.set_environment(self)
        return tree


def _through(name: str, node: nodes.Node) -> nodes.Filter:
    return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)


def _replace_concatenations(node: nodes.Node) -> None:
    for name, value in list(node.iter_fields()):
        if isinstance(value, list):
            setattr(node, name, [_limited_concat(item) for item in value])
        else:
            setattr(node, name, _limited_concat(value))
    for child in node.iter_child_nodes():
        _replace_concatenations(child)


def _limited_concat(value: Any) -> Any:
    if not isinstance(value, nodes.Concat):
        return value
    items = nodes.List(value.nodes, lineno=value.lineno)
    return _through("_joined", items)


def _finalized(value: Any) -> Any:
    _measure(value)
    return value


def _check_operation(operator: str, left: Any, right: Any) -> None:
    _spend()
    if operator == "%" and isinstance(left, str) and _WIDTH.search(left):
        raise TemplateRuntimeError("a format with a huge width")
    if operator == "+" and isinstance(left, str | list | tuple) and isinstance(right, type(left)):
        _refuse_long(len(left) + len(right))
    if operator == "*":
        for many, times in ((left, right), (right, left)):
            if isinstance(many, str | list | tuple) and isinstance(times, int):
                _refuse_long(len(many) * max(times, 0))
    if isinstance(left, int) and isinstance(right, int):
        growth = right if operator == "**" else 1
        if left.bit_length() * growth + right.bit_length() > _MAX_BITS:
            raise TemplateRuntimeError(f"{operator} with a huge result")


def _guarded(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    passes = hasattr(function, "jinja_pass_arg")

    @wraps(function)
    def guarded(*args: Any, **named: Any) -> Any:
        _spend()
        plain = args[1:] if passes else args
        _check_arguments(name, plain[0] if plain else None, plain[1:], named)
        result = function(*args, **named)
        if isinstance(result, str):
            _refuse_long(len(result))
        return result

    return guarded


def _raise_exception(message: object) -> None:
    raise TemplateError(str(message))


def _tojson(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    text = json.dumps(
        value, ensure_ascii=False, indent=indent, separators=separators, sort_keys=sort_keys
    )
    # Plane 16 stays as it is: there the stand-ins of `relaygen.chat.disguise` live.
    return _NOT_ASCII.sub(lambda m: json.dumps(m.group())[1:-1], text) if ensure_ascii else text
