"""The commands under one name, and what becomes of their errors."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from relaygen.cli.chat import chat
from relaygen.cli.config import config
from relaygen.cli.demo import demo
from relaygen.cli.doctor import doctor
from relaygen.cli.launch import launch
from relaygen.cli.profile import profile
from relaygen.cli.run import run
from relaygen.cli.serve import serve
from relaygen.cli.terminal import prepare_streams, say
from relaygen.cli.trace_view import trace
from relaygen.errors import EngineError, ProtocolError, RelayGenError, SettingsError

FAILED, BAD_INPUT, INTERRUPTED, PIPE_CLOSED = 1, 2, 130, 141

_UsageError: type[Exception] = typer.BadParameter.__mro__[1]  # typer carries its own copy of click


class _Commands(TyperGroup):
    """Turns errors into a line on stderr and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (typer.Exit, typer.Abort, _UsageError):
            raise
        except KeyboardInterrupt:
            raise typer.Exit(INTERRUPTED) from None
        except RelayGenError as error:
            _show(error)
            failed = isinstance(error, EngineError | ProtocolError)
            raise typer.Exit(FAILED if failed else BAD_INPUT) from None
        except OSError as error:
            if error.errno == errno.EPIPE:
                _give_up_stdout()
                raise typer.Exit(PIPE_CLOSED) from None
            _show(error, "the operating system refused: ")
            raise typer.Exit(FAILED) from None
        except Exception as error:  # noqa: BLE001  the last resort: one line, not a traceback
            _show(error, f"a bug, please report it with --debug ({type(error).__name__}): ")
            raise typer.Exit(FAILED) from None


app = typer.Typer(
    cls=_Commands,
    name="relaygen",
    help="One generation on two models: the large one writes the hard sentences, the small one "
    "the easy ones.",
    rich_markup_mode=None,  # plain help: it starts faster, and the same text is in docs/cli.md
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
app.command()(demo)
app.command()(run)
app.command()(chat)
app.command()(serve)
app.command()(doctor)
app.add_typer(trace, name="trace")
app.command()(launch)
app.add_typer(profile, name="profile")
app.add_typer(config, name="config")


def _version(wanted: bool) -> None:
    if wanted:
        from relaygen import __version__

        typer.echo(f"relaygen {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _common(
    context: typer.Context,
    no_color: Annotated[
        bool, typer.Option("--no-color", help="Mark roles by ‹ › instead (as NO_COLOR does).")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error (RELAYGEN_DEBUG=1).")
    ] = False,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    if no_color:
        os.environ["NO_COLOR"] = "1"
    if debug:
        os.environ["RELAYGEN_DEBUG"] = "1"
    if context.invoked_subcommand is None:
        typer.echo(context.get_help(), err=True)
        raise typer.Exit(BAD_INPUT)


def run_app(arguments: Sequence[str] | None = None) -> int:
    """Parses the arguments, runs the command, returns the exit code."""
    prepare_streams()
    command = typer.main.get_command(app)
    given = None if arguments is None else list(arguments)
    try:
        code = command.main(args=given, prog_name="relaygen", standalone_mode=False)
        sys.stdout.flush()
    except _UsageError as error:
        return _usage(error)
    except (typer.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except BrokenPipeError:
        _give_up_stdout()
        return PIPE_CLOSED
    return code if isinstance(code, int) else 0


def _usage(error: Any) -> int:
    path = error.ctx.command_path if error.ctx else "relaygen"
    told = (
        error.format_message().rstrip(".").replace("Value error, ", "")
    )  # pydantic's, for programs
    say(f"{told}; see `{path} --help`")
    return BAD_INPUT


def _show(error: Exception, lead: str = "") -> None:
    if os.environ.get("RELAYGEN_DEBUG", "0") not in ("", "0"):
        import traceback

        typer.echo(traceback.format_exc(), err=True)
    # A configuration has all its mistakes told, one a line; other texts may hold a server's reply.
    told = str(error).splitlines() if isinstance(error, SettingsError) else [str(error)]
    for line in told:
        say(f"{lead}{line}")


def _give_up_stdout() -> None:
    # The interpreter flushes stdout once more at its end, and would complain there.
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):  # stdout is not a file: nothing will complain
        return
