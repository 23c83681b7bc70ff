"""A command line of a server, as a value: to run, or to show."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True, slots=True)
class Command:
    """What to start. It never holds a secret, so that it may be shown and logged.

    Attributes:
        argv: program and arguments.
        environment: variables on top of this process's own.
        keys: variables whose value is a key, each with the name of that key.
        without: prefixes of variables of this process that the new one must not see.
    """

    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    keys: Mapping[str, str] = field(default_factory=dict)
    without: tuple[str, ...] = ()

    def full_environment(
        self, inherited: Mapping[str, str], keys: Mapping[str, str]
    ) -> dict[str, str]:
        """Every variable of the new process.

        Args:
            inherited: of this process.
            keys: values of keys, by their names.
        """
        kept = {n: v for n, v in inherited.items() if not n.upper().startswith(self.without)}
        secrets = {variable: keys[name] for variable, name in self.keys.items()}
        return {**kept, **self.environment, **secrets}

    def shell(self) -> str:
        """The command for a POSIX shell; keys are taken from variables of their own names."""
        # A key under its own name is exported, so the command has it anyway.
        secrets = [f'{var}="${name}"' for var, name in self.keys.items() if var != name]
        plain = [f"{variable}={shlex.quote(value)}" for variable, value in self.environment.items()]
        return " ".join([*secrets, *plain, shlex.join(self.argv)])
