"""What the doctor looks at."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any, Final, Literal

from relaygen import demo_models
from relaygen.api import Model, Options, SyncRelay
from relaygen.chat import ChatTemplate
from relaygen.chat.understood import understood
from relaygen.cli.options import PairOptions
from relaygen.cli.pair import PairPaths, open_pair
from relaygen.errors import MissingExtraError, RelayGenError
from relaygen.profiles import load
from relaygen.tokens import Fingerprint, Tokenizer, compare, read_gguf, shared_ids
from relaygen.types import ModelRole

Status = Literal["ok", "note", "fail"]
_FEW: Final = 24
_PACKAGES: Final = ("xllamacpp", "tokenizers", "numpy", "msgspec", "jinja2", "typer", "rich")
_EXTRAS: Final = {"torch": "hf", "transformers": "hf", "safetensors": "hf"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One finding.

    Attributes:
        name: what was looked at.
        status: ``note`` is for what need not work.
        detail: what was found.
        remedy: what to do; empty if nothing.
        facts: the same for programs.
    """

    name: str
    status: Status
    detail: str
    remedy: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)

    def as_object(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def all_checks(paths: PairPaths, pair: PairOptions) -> Iterator[Check]:
    """Every finding, as it is made."""
    yield _machine()
    yield _packages()
    yield from _files({"large": paths.large, "small": paths.small})
    yield from _engine("llama_cpp" if paths.large.is_file() else "hf", paths, pair)
    if paths.embedded:
        folders = PairPaths(
            large=demo_models.root() / "large", small=demo_models.root() / "small", embedded=True
        )
        yield from _engine("hf", folders, pair)


def _machine() -> Check:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    from relaygen import __version__

    return Check(
        name="machine",
        status="ok",
        detail=f"relaygen {__version__}, Python {platform.python_version()}, "
        f"{platform.system()} {platform.machine()}, {usable} CPU threads",
        facts={"relaygen": __version__, "python": platform.python_version(), "threads": usable},
    )


def _packages() -> Check:
    found = {name: _version(name) for name in (*_PACKAGES, *_EXTRAS)}
    missing = [name for name in _PACKAGES if found[name] is None]
    absent = sorted({_EXTRAS[n] for n in _EXTRAS if found[n] is None})
    have = ", ".join(f"{name} {number}" for name, number in found.items() if number)
    pinned = [r for r in requires("relaygen") or [] if r.startswith("xllamacpp")]
    return Check(
        name="packages",
        status="fail" if missing else "ok",
        detail=have + "".join(f"; extra {extra} is not installed" for extra in absent),
        remedy=f"pip install {' '.join(missing)}" if missing else "",
        facts={"versions": found, "tested": pinned},
    )


def _files(files: Mapping[str, Path]) -> Iterator[Check]:
    tokenizers: dict[str, Tokenizer] = {}
    for role, path in files.items():
        try:
            tokenizers[role] = Tokenizer.load(path)
            yield Check(name=f"{role} model", status="ok", detail=_describe(path))
        except RelayGenError as error:
            yield _failed(f"{role} model", error)
    if len(tokenizers) < len(files):
        return
    yield _fit(tokenizers["large"], tokenizers["small"])
    yield _template(tokenizers["large"])


def _describe(path: Path) -> str:
    if path.is_dir():
        return f"{path} (a folder in transformers' format)"
    gguf = read_gguf(path)
    return (
        f"{path}: {gguf.name}, {gguf.architecture}, {gguf.parameter_count / 1e6:,.1f}M parameters, "
        f"{gguf.file_type}, {path.stat().st_size / 1e6:,.1f} MB, trained for "
        f"{gguf.context_length or 0:,} tokens"
    )


def _fit(large: Tokenizer, small: Tokenizer) -> Check:
    prints = Fingerprint.of(large), Fingerprint.of(small)
    try:
        compare(*prints)
    except RelayGenError as error:
        return _failed("tokenizers", error)
    return Check(
        name="tokenizers",
        status="ok",
        detail=f"the same: {len(shared_ids(*prints)):,} entries, {prints[0].hexdigest[:16]}",
        facts={"fingerprint": prints[0].hexdigest},
    )


def _template(tokenizer: Tokenizer) -> Check:
    try:
        report = understood(ChatTemplate.of(tokenizer), tokenizer)
    except RelayGenError as error:
        return _failed("chat template", error)
    if report.problem is not None:
        return Check(name="chat template", status="fail", detail=report.problem)
    can = {
        "system message": report.system,
        "several turns": report.turns,
        "tools": report.tools,
        "enable_thinking": report.enable_thinking,
    }
    lacks = "".join(f", no {name}" for name, has in can.items() if not has)
    has = ", ".join(name for name, has in can.items() if has)
    tags = " ... ".join(report.tags) if report.tags else "no reasoning tags (one stage)"
    return Check(
        name="chat template",
        status="ok" if report.tags else "note",
        detail=f"understood: {tags}; {has or 'nothing else'}{lacks}",
        facts={**can, "tags": report.tags},
    )


def _engine(kind: str, paths: PairPaths, pair: PairOptions) -> Iterator[Check]:
    """Lets both models write a little, with a handoff between them."""
    name = f"engine {kind}"
    try:
        with open_pair(paths, pair, load("demo") if paths.embedded else None) as relay:
            for role in ModelRole:
                _write(relay, role)
            if paths.embedded:
                _write(relay, None)
            models = relay.relay.models
            for role, model in models.items():
                yield _opened(f"{name}, {role} model", model)
    except MissingExtraError as error:
        yield Check(name=name, status="note", detail="not installed", remedy=str(error))
    except ImportError as error:
        yield _failed(name, error)
    except RelayGenError as error:
        yield _failed(name, error)


def _write(relay: SyncRelay, role: ModelRole | None) -> None:
    question = demo_models.problems()[0].question
    options = Options(policy=str(role or "relay"), max_tokens=_FEW, seed=1)
    relay.generate(question, options)


def _opened(name: str, model: Model) -> Check:
    capabilities = model.engine.capabilities()
    report = getattr(model.engine, "report", None)
    facts: dict[str, Any] = {"context_tokens": capabilities.context_tokens}
    detail = f"writes; {capabilities.context_tokens:,} tokens of context a sequence"
    status: Status = "ok"
    if report is not None:
        found = report()
        facts |= {k: str(v) if isinstance(v, Path) else v for k, v in asdict(found).items()}
        known = "tested" if found.library_tested else "NOT TESTED with RelayGen"
        status = "ok" if found.library_tested else "note"
        detail += (
            f", {found.sequences} at once; {found.decode_threads} threads to write and "
            f"{found.read_threads} to read; llama.cpp of xllamacpp {found.library_version}, {known}"
        )
        if not found.can_rewind:
            detail += "; it cannot take tokens back"
    return Check(name=name, status=status, detail=detail, facts=facts)


def _failed(name: str, error: Exception) -> Check:
    return Check(name=name, status="fail", detail=str(error))


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
