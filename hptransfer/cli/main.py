"""The command line: words, options and exit statuses. What the words do is `hptransfer.drive.run` and below.

Exit status: 0 done; 1 the work ran and something failed or a check did not pass; 2 bad input; 130 interrupted.
Imports of torch and Ray wait until a command needs them, so that help and completion answer at once.
"""

from __future__ import annotations

import logging
import sys
import sysconfig
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import click

from hptransfer import __version__
from hptransfer.cli.options import BASE, JSON, RESULTS, RESULTS_DIR, SEARCH, SET, STORAGE, STUDY, YES, targeted, working
from hptransfer.common.errors import HptransferError

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
        """Names as they were defined."""
        return list(self.commands)


@click.group(
    cls=InOrder,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=_EPILOG,
)
@click.version_option(__version__, "-V", "--version", prog_name="hptransfer")
def cli() -> None:
    """Tune hyperparameters on a small dense model, transfer them to large sparse ones, and know whether they hold.

    A STUDY is a YAML file that asks one question. RESULTS is the folder of a study that ran, such as
    results/quickstart. `hptransfer COMMAND --help` explains a command, with examples.
    """


@cli.command(short_help="Write a commented study file to start from.")
@click.argument("file", type=click.Path(path_type=Path), default=Path("study.yaml"))
@click.option(
    "--factory", default="gpt", show_default=True, metavar="MODEL", help="gpt, mlp or package.module:function."
)
@click.option(
    "--text",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Train on the bytes of this file; without it, on the Python library's sources.",
)
@click.option("--force", is_flag=True, help="Overwrite FILE.")
def init(**options: Any) -> None:
    """Write a commented study file to start from (study.yaml unless FILE says otherwise). Asks nothing.

    \b
    Examples:
      hptransfer init my.yaml
      hptransfer init my.yaml --factory mymodel:build --text corpus.txt
    """
    from hptransfer.study.starter import write_starter

    click.echo(write_starter(**options))


@cli.command(short_help="Tune, check, fan out, judge, draw: the whole study.")
@STUDY
@working
@BASE
@YES
@SEARCH
@STORAGE
@click.option("--no-check", is_flag=True, help="Skip the coordinate check that guards the sweep.")
def run(**options: Any) -> None:
    """Tune, check, fan out, judge, plot and report. Continues by itself where an earlier run stopped.

    Needs nothing but the study file. What is stored is not run again, so the same command resumes a run that was
    stopped or killed, and extends one whose study file grew. The first Ctrl-C lets what is running finish, the second
    leaves at once. The rows, base.json, verdict.json, plots/ and report.html lie in results/<name of the study>.

    \b
    Examples:
      hptransfer run sweeps/quickstart.yaml
      hptransfer run my.yaml --search bracket --set grid.widths=[128,256]
      hptransfer run my.yaml --executor ray --address 10.0.0.1:6379 --results s3://bucket/results
    """
    from hptransfer.drive.run import Phases, run_study

    sys.exit(run_study(_options(options), Phases(tune=True, check=not options["no_check"], grid=True)))


@cli.command(short_help="Search base HPs on the dense proxy.")
@STUDY
@working
@STORAGE
def tune(**options: Any) -> None:
    """Search base HPs on the dense proxy and write base.json.

    Runs the `tune` section of the study alone: no check, no grid.

    \b
    Examples:
      hptransfer tune my.yaml
      hptransfer tune my.yaml --set tune.sampler=gp --set tune.trials=48
    """
    from hptransfer.drive.run import Phases, run_study

    sys.exit(run_study(_options(options), Phases(tune=True)))


@cli.command(short_help="Run the grid with base HPs found before.")
@STUDY
@working
@BASE
@YES
@SEARCH
def fanout(**options: Any) -> None:
    """Run the grid with the base HPs of --base FILE, else of the results folder's base.json, else of the study itself.

    \b
    Examples:
      hptransfer fanout my.yaml
      hptransfer fanout my.yaml --base results/other/base.json
    """
    from hptransfer.drive.run import Phases, run_study

    sys.exit(run_study(_options(options), Phases(grid=True)))


@cli.command(short_help="Show what would run, and how long it takes.")
@STUDY
@SET
@RESULTS_DIR
@BASE
@JSON
@click.option("--no-calibrate", is_flag=True, help="Do not time a short pack; leaves the time unknown.")
@SEARCH
def plan(**options: Any) -> None:
    """Show what `run` would do: trials, packs, what is stored, FLOPs, memory, time. Trains and stores nothing.

    The time comes from a few steps of each shape, measured here; --no-calibrate leaves it out and answers at once.

    \b
    Examples:
      hptransfer plan sweeps/quickstart.yaml
      hptransfer plan my.yaml --no-calibrate --json
    """
    from hptransfer.cli.inspection import show_plan

    show_plan(options)


@cli.command(short_help="Show what a rule does to every tensor.")
@STUDY
@SET
@RESULTS_DIR
@BASE
@JSON
@targeted
def explain(**options: Any) -> None:
    """Show what a rule does to every tensor of a target: init std, LR, decay, eps, multiplier, and why.

    Builds no weights, so any size answers at once. Base HPs are those of the results folder once it has some.

    \b
    Examples:
      hptransfer explain my.yaml
      hptransfer explain sweeps/quickstart.yaml --rule supar --width 512 --density 0.0625
    """
    from hptransfer.cli.inspection import show_explanation

    show_explanation(options)


@cli.command(short_help="Write per-tensor settings for another trainer.")
@STUDY
@SET
@RESULTS_DIR
@BASE
@targeted
@click.option(
    "--format", "form", type=click.Choice(["json", "yaml", "python"]), default="json", show_default=True, help="Form."
)
@click.option("--output", type=click.Path(path_type=Path), metavar="FILE", help="Write here instead of the terminal.")
def export(**options: Any) -> None:
    """Write the per-tensor settings of a target for another trainer: JSON, YAML or a Python snippet.

    \b
    Example:
      hptransfer export my.yaml --width 2048 --density 1/16 --format python --output target.py
    """
    from hptransfer.cli.inspection import write_export

    write_export(options)


@cli.command(short_help="Coordinate check: do activations keep their size?")
@STUDY
@SET
@RESULTS_DIR
@BASE
@JSON
def check(**options: Any) -> None:
    """Coordinate check: do activations, gradients and updates keep their size over width and density?

    Prints what passed and the slopes that did not, draws the picture, and leaves with 1 when a rule that should be
    stable is not. `run` does the same before its sweep. Minutes, not hours: a few steps on one small batch.

    \b
    Example:
      hptransfer check sweeps/quickstart.yaml
    """
    from hptransfer.cli.inspection import run_check

    sys.exit(run_check(options))


@cli.command(short_help="Does the optimum stay put?")
@RESULTS
@JSON
@click.option("--delta", type=float, help="Regret allowed, relative; by default the study's, else 0.005.")
@click.option("--margin", type=float, help="Drift allowed, octaves an octave; by default the study's, else 0.1.")
@click.option("--expect", multiple=True, metavar="RULE", help="Rule that must be STABLE (repeatable).")
def verdict(**options: Any) -> None:
    """Does the optimum stay put? STABLE, DRIFT or INCONCLUSIVE for every rule, and why.

    Works on any folder of Parquet rows with the documented columns. Leaves with 0 only when every rule that is
    expected to be stable is STABLE, else with 1.

    \b
    Examples:
      hptransfer verdict results/quickstart
      hptransfer verdict results/quickstart --delta 0.01 --expect supar --json
    """
    from hptransfer.cli.readout import show_verdict

    sys.exit(show_verdict(options))


@cli.command(short_help="Draw the pictures of a results folder.")
@RESULTS
@click.option("--kind", "kinds", multiple=True, metavar="KIND", help="Only these pictures (repeatable).")
@click.option(
    "--format",
    "formats",
    multiple=True,
    type=click.Choice(["png", "svg", "pdf"]),
    default=("png", "svg"),
    show_default=True,
    help="File formats.",
)
def plot(**options: Any) -> None:
    """Draw the pictures of a results folder into its plots/.

    Kinds: lr, stability, regret, sparsity, params, check, init, tuning, cost; by default all that there is something
    to show of.

    \b
    Examples:
      hptransfer plot results/quickstart
      hptransfer plot results/quickstart --kind lr --format svg
    """
    from hptransfer.cli.readout import draw_plots

    draw_plots(options)


@cli.command(short_help="Write the report, one HTML file.")
@RESULTS
def report(**options: Any) -> None:
    """Write report.html, one file that opens from disk without a network.

    \b
    Example:
      hptransfer report results/quickstart
    """
    from hptransfer.cli.readout import write_report

    write_report(options)


@cli.command(short_help="Count planned, stored, diverged, failed trials.")
@RESULTS
@JSON
def status(**options: Any) -> None:
    """Count planned, stored, diverged, failed and in-flight trials of a results folder, also while it runs.

    \b
    Examples:
      hptransfer status results/quickstart
      hptransfer status results/quickstart --json
    """
    from hptransfer.cli.readout import show_status

    show_status(options)


def _options(given: dict[str, Any]) -> Any:
    from hptransfer.drive.options import Options

    return Options.from_command_line(given)


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
        cli.main(args=list(arguments) if arguments is not None else None, standalone_mode=False)
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
        if place is None and isinstance(error, OSError):  # a folder without permission, a network that went away
            click.echo(f"hptransfer: {error}", err=True)
            sys.exit(2)
        if place is None:
            raise
        said = (str(error).splitlines() or [""])[0]
        click.echo(f"hptransfer: {place}: your code raised {type(error).__name__}: {said}", err=True)
        sys.exit(2)
    sys.exit(0)


def _in_users_code(error: Exception) -> str | None:
    """File and line of the innermost frame outside this package and all that is installed; None where there is none."""
    if isinstance(error, SyntaxError):
        return f"{error.filename}:{error.lineno}"
    installed = [Path(sysconfig.get_path(kind)).resolve() for kind in ("stdlib", "purelib", "platlib")]
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        file = Path(frame.filename).resolve()
        if file.is_file() and not any(file.is_relative_to(place) for place in (*installed, Path(__file__).parents[1])):
            return f"{frame.filename}:{frame.lineno}"
    return None
