"""``docs/cli.md`` has every command; that its help is current, the test of all pages checks."""

from __future__ import annotations

import pytest

from tests import docs

from .conftest import Cli
from .help_pages import commands


@pytest.mark.parametrize("command", commands())
def test_every_command_is_on_the_page(cli: Cli, command: str) -> None:
    page = (docs.DOCS / "cli.md").read_text(encoding="utf-8")
    assert f"<!-- begin: help: relaygen {command} -->" in page
    ran = cli(*command.split(), "--help")
    assert ran.code == 0
    assert f"relaygen {command} [OPTIONS]" in ran.out
