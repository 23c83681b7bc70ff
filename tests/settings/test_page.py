"""``docs/settings.md`` has every setting, and each variable that it names is read.

That its tables are current, the test of all pages checks.
"""

from __future__ import annotations

import pytest

from relaygen.errors import SettingsError
from relaygen.settings import Settings, load
from tests.settings.page import TABLES, rows

UNKNOWN = ("there is no such setting", "there is no limit")


def complaint(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> str:
    """What is said of a good configuration with one variable more; empty: nothing."""
    monkeypatch.setenv("RELAYGEN_LARGE__REPLICAS", '["http://127.0.0.1:1"]')
    monkeypatch.setenv("RELAYGEN_SMALL__REPLICAS", '["http://127.0.0.1:2"]')
    monkeypatch.setenv(variable, value)
    try:
        load()
    except SettingsError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("variable", [row.variable for row in rows() if row.variable])
def test_every_variable_is_read(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    told = complaint(monkeypatch, variable, "[]")
    assert not any(words in told for words in UNKNOWN)


@pytest.mark.parametrize("table", ["SERVER", "LARGE", "RELAY", "RELAY__LIMITS", "RELAY__SAMPLING"])
def test_a_variable_of_no_setting_is_refused(monkeypatch: pytest.MonkeyPatch, table: str) -> None:
    told = complaint(monkeypatch, f"RELAYGEN_{table}__NONSENSE", "1")
    assert any(words in told for words in UNKNOWN)


def test_every_table_has_its_place() -> None:
    tables = {name.split(".")[0] for name in TABLES}
    assert set(Settings.model_fields) == tables | {"small"}  # which is as the large one
