"""The command line: the commands, each a file beside this one, and the boundary at which errors become exit statuses.

Exit status: 0 done; 1 the work ran and something failed or a check did not pass; 2 bad input; 130 interrupted.
A command imports torch, Ray, pandas and pydantic when it needs them, so that help and completion answer at once.
"""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import click

from hptransfer.cli.check import check
from hptransfer.cli.explain import explain
from hptransfer.cli.export import export
from hptransfer.cli.init import init
from hptransfer.cli.plan import plan
from hptransfer.cli.plot import plot
from hptransfer.cli.report import report
from hptransfer.cli.run import fanout, run, tune
from hptransfer.cli.status import status
from hptransfer.cli.verdict import verdict
from hptransfer.common.errors import HptransferError
from hptransfer.common.own_sources import is_installed
from hptransfer.common.version import __version__

__all__ = ["cli", "main"]

_EPILOG = """\
\b
First steps:
  hptransfer init my-study.yaml
  hptransfer plan my-study.yaml
  hptransfer run my-study.yaml

\b
Exit status:
  0    done
  1    the work ran, and something failed or a check did not pass
  2    bad input; the message says where, what was found and what is allowed
  130  interrupted; the message says how to continue

\b
Completion, a line for your shell's start file:
  bash  eval "$(_HPTRANSFER_COMPLETE=bash_source hptransfer)"
  zsh   eval "$(_HPTRANSFER_COMPLETE=zsh_source hptransfer)"
  fish  _HPTRANSFER_COMPLETE=fish_source hptransfer | source
"""


class InOrder(click.Group):
    """Commands in the order in which they are used, not of the alphabet."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names as they were added."""
        return list(self.commands)


@click.group(
    cls=InOrder,
    commands=[init, run, tune, fanout, plan, explain, export, check, verdict, plot, report, status],
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=_EPILOG,
)
@click.version_option(__version__, "-V", "--version", prog_name="hptransfer")
def cli() -> None:
    """Tune hyperparameters on a small dense model, transfer them to large sparse ones, and know whether they hold.

    A STUDY is a YAML file that asks one question. RESULTS is the folder of a study that ran, such as
    results/quickstart. `hptransfer COMMAND --help` explains a command, with examples.
    """


class _OnTerminal(logging.Handler):
    """What the package warns of, such as a damaged part, as the command line says it."""

    def emit(self, record: logging.LogRecord) -> None:
        click.echo(f"hptransfer: warning: {record.getMessage()}", err=True)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and leave with its exit status; an expected error is one message, never a traceback."""
    log = logging.getLogger("hptransfer")
    if not log.handlers:
        log.addHandler(_OnTerminal(logging.WARNING))
    try:
        cli.main(arguments, standalone_mode=False)
    except click.exceptions.Exit as leaving:
        sys.exit(leaving.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        click.echo("hptransfer: interrupted; the same command goes on from what is stored", err=True)
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(1)
    except HptransferError as error:
        click.echo(f"hptransfer: {error}", err=True)
        sys.exit(error.exit_status)
    except Exception as error:  # the boundary to a user's own model, which may raise anything; ours stays a traceback
        place = _in_users_code(error)
        if place is not None:
            said = (str(error).splitlines() or [""])[0]
            click.echo(f"hptransfer: {place}: your code raised {type(error).__name__}: {said}", err=True)
        elif isinstance(error, OSError):  # a folder without permission, a network that went away
            click.echo(f"hptransfer: {error}", err=True)
        else:
            raise
        sys.exit(2)
    sys.exit(0)


def _in_users_code(error: Exception) -> str | None:
    """File and line of the innermost frame outside this package and all that is installed; None where there is none."""
    if isinstance(error, SyntaxError):
        return f"{error.filename}:{error.lineno}"
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        file = Path(frame.filename).resolve()
        if file.is_file() and not is_installed(file):
            return f"{frame.filename}:{frame.lineno}"
    return None
