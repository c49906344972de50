"""The command line: words, options and exit statuses. What the words do is `hptransfer.session` and below.

Exit status: 0 done; 1 the work ran and something failed or a check did not pass; 2 bad input; 130 interrupted.
Imports of torch and Ray wait until a command needs them, so that help and completion answer at once.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import click

from hptransfer import __version__
from hptransfer.errors import HptransferError

__all__ = ["cli", "main"]

Command = Callable[..., Any]

STUDY = click.argument("study", type=click.Path(path_type=Path), metavar="STUDY")
RESULTS = click.argument("results", metavar="RESULTS")
SET = click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a study setting, dotted.")
RESULTS_DIR = click.option(
    "--results",
    "results_dir",
    default="results",
    show_default=True,
    metavar="DIR",
    help="Where results folders live; any pyarrow.fs URI.",
)  # noqa: E501
JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
BASE = click.option(
    "--base", "base_file", type=click.Path(path_type=Path), metavar="FILE", help="Base HPs from this base.json."
)  # noqa: E501
YES = click.option("--yes", is_flag=True, help="Run a grid above `grid.max_trials` without asking.")


def working(command: Command) -> Command:
    """The options of every command that trains."""
    for option in reversed(
        [
            SET,
            RESULTS_DIR,
            click.option(
                "--executor",
                type=click.Choice(["local", "ray", "tune"]),
                default="ray",
                show_default=True,
                help="Where packs run.",
            ),  # noqa: E501
            click.option("--address", metavar="HOST:PORT", help="A running Ray cluster; by default Ray starts here."),
            click.option("--workers", type=click.IntRange(min=1), help="Workers; by default one a core or GPU."),
            click.option(
                "--device",
                type=click.Choice(["auto", "cpu", "cuda"]),
                default="auto",
                show_default=True,
                help="Where trials train.",
            ),  # noqa: E501
            click.option(
                "--products",
                type=click.Choice(["auto", "dense", "sparse"]),
                default="auto",
                show_default=True,
                help="How sparse layers multiply.",
            ),  # noqa: E501
            click.option("--no-compile", is_flag=True, help="Train eagerly; slower, starts at once."),
        ]
    ):
        command = option(command)
    return command


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Start with `hptransfer init my-study.yaml`, then `hptransfer run my-study.yaml`.\n\n"
    'Completion: put  eval "$(_HPTRANSFER_COMPLETE=bash_source hptransfer)"  into your shell\'s start file '
    "(zsh_source and fish_source likewise).",
)
@click.version_option(__version__, "-V", "--version", prog_name="hptransfer")
def cli() -> None:
    """Tune hyperparameters on a small dense model, transfer them to large sparse ones, and know whether they hold.

    A STUDY is a YAML file that asks one question. RESULTS is the folder of a study that ran, such as
    results/quickstart.
    """


@cli.command()
@STUDY
@working
@BASE
@YES
@click.option("--search", type=click.Choice(["fixed", "bracket"]), help="Override `grid.search`.")
@click.option("--storage", metavar="URL", help="Mirror the search into this Optuna storage, e.g. sqlite:///optuna.db.")
@click.option("--no-check", is_flag=True, help="Skip the coordinate check that guards the sweep.")
def run(**options: Any) -> None:
    """Tune, check, fan out, judge, plot and report. Continues by itself where an earlier run stopped.

    \b
    Examples:
      hptransfer run sweeps/quickstart.yaml
      hptransfer run my.yaml --search bracket --set grid.widths=[128,256]
      hptransfer run my.yaml --executor ray --address 10.0.0.1:6379 --results s3://bucket/results
    """
    from hptransfer.session import Phases, run_study

    sys.exit(run_study(_options(options), Phases(tune=True, check=not options["no_check"], grid=True)))


@cli.command()
@STUDY
@working
@click.option("--storage", metavar="URL", help="Mirror the search into this Optuna storage, e.g. sqlite:///optuna.db.")
def tune(**options: Any) -> None:
    """Search base HPs on the dense proxy and write base.json.

    \b
    Example:
      hptransfer tune my.yaml --set tune.sampler=gp --set tune.trials=48
    """
    from hptransfer.session import Phases, run_study

    sys.exit(run_study(_options(options), Phases(tune=True)))


@cli.command()
@STUDY
@working
@BASE
@YES
@click.option("--search", type=click.Choice(["fixed", "bracket"]), help="Override `grid.search`.")
def fanout(**options: Any) -> None:
    """Run the grid with the base HPs of base.json, of --base FILE, or of the study itself.

    \b
    Example:
      hptransfer fanout my.yaml --base results/other/base.json
    """
    from hptransfer.session import Phases, run_study

    sys.exit(run_study(_options(options), Phases(grid=True)))


@cli.command()
@STUDY
@SET
@RESULTS_DIR
@BASE
@JSON
@click.option("--no-calibrate", is_flag=True, help="Do not time a short pack; leaves the time unknown.")
@click.option("--search", type=click.Choice(["fixed", "bracket"]), help="Override `grid.search`.")
def plan(**options: Any) -> None:
    """Show what `run` would do: trials, packs, what is stored, FLOPs, memory, time. Starts no Ray.

    \b
    Example:
      hptransfer plan sweeps/quickstart.yaml --json
    """
    from hptransfer.inspection import show_plan

    show_plan(options)


@cli.command()
@STUDY
@SET
@RESULTS_DIR
@BASE
@JSON
@click.option("--rule", default="supar", show_default=True, help="Rule to apply.")
@click.option("--width", type=click.IntRange(min=1), help="Target width; by default the largest of the grid.")
@click.option("--depth", type=click.IntRange(min=1), help="Target depth; by default the base depth.")
@click.option(
    "--density", type=str, help="Target density, such as 0.0625 or 1/16; by default the sparsest of the grid."
)
def explain(**options: Any) -> None:
    """Show what a rule does to every tensor of a target: init std, LR, decay, eps, multiplier, and why.

    \b
    Example:
      hptransfer explain sweeps/quickstart.yaml --rule supar --width 512 --density 0.0625
    """
    from hptransfer.inspection import show_explanation

    show_explanation(options)


@cli.command()
@STUDY
@SET
@RESULTS_DIR
@BASE
@click.option("--rule", default="supar", show_default=True, help="Rule to apply.")
@click.option("--width", type=click.IntRange(min=1), help="Target width; by default the largest of the grid.")
@click.option("--depth", type=click.IntRange(min=1), help="Target depth; by default the base depth.")
@click.option(
    "--density", type=str, help="Target density, such as 0.0625 or 1/16; by default the sparsest of the grid."
)
@click.option(
    "--format", "form", type=click.Choice(["json", "yaml", "python"]), default="json", show_default=True, help="Form."
)  # noqa: E501
@click.option("--output", type=click.Path(path_type=Path), metavar="FILE", help="Write here instead of the terminal.")
def export(**options: Any) -> None:
    """Write the per-tensor settings of a target for another trainer: JSON, YAML or a Python snippet.

    \b
    Example:
      hptransfer export my.yaml --width 2048 --density 1/16 --format python --output target.py
    """
    from hptransfer.inspection import write_export

    write_export(options)


@cli.command()
@STUDY
@SET
@RESULTS_DIR
@BASE
@JSON
def check(**options: Any) -> None:
    """Coordinate check: do activations, gradients and updates keep their size over width and density?

    Prints the slopes with intervals, draws the picture, and leaves with 1 when a rule that should be stable is not.

    \b
    Example:
      hptransfer check sweeps/quickstart.yaml
    """
    from hptransfer.inspection import run_check

    sys.exit(run_check(options))


@cli.command()
@RESULTS
@JSON
@click.option("--delta", type=float, help="Regret allowed, relative; by default the study's, else 0.005.")
@click.option("--margin", type=float, help="Drift allowed, octaves an octave; by default the study's, else 0.1.")
@click.option("--expect", multiple=True, metavar="RULE", help="Rule that must be STABLE (repeatable).")
def verdict(**options: Any) -> None:
    """Does the optimum stay put? Works on any folder of rows with the documented columns.

    Leaves with 0 only when every rule that is expected to be stable is STABLE, else with 1.

    \b
    Example:
      hptransfer verdict results/quickstart
    """
    from hptransfer.inspection import show_verdict

    sys.exit(show_verdict(options))


@cli.command()
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
)  # noqa: E501
def plot(**options: Any) -> None:
    """Draw the pictures of a results folder into its plots/.

    \b
    Example:
      hptransfer plot results/quickstart --kind lr --format svg
    """
    from hptransfer.inspection import draw_plots

    draw_plots(options)


@cli.command()
@RESULTS
def report(**options: Any) -> None:
    """Write report.html, one file that opens from disk without a network.

    \b
    Example:
      hptransfer report results/quickstart
    """
    from hptransfer.inspection import write_report

    write_report(options)


@cli.command()
@RESULTS
@JSON
def status(**options: Any) -> None:
    """Count planned, stored, diverged, failed and in-flight trials.

    \b
    Example:
      hptransfer status results/quickstart --json
    """
    from hptransfer.inspection import show_status

    show_status(options)


@cli.command()
@click.argument("file", type=click.Path(path_type=Path), default=Path("study.yaml"))
@click.option(
    "--factory", default="gpt", show_default=True, metavar="MODEL", help="gpt, mlp or package.module:function."
)
@click.option("--text", type=click.Path(path_type=Path), metavar="FILE", help="Train on the bytes of this file.")
@click.option("--force", is_flag=True, help="Overwrite FILE.")
def init(**options: Any) -> None:
    """Write a commented study file to start from. Asks nothing.

    \b
    Examples:
      hptransfer init my.yaml
      hptransfer init my.yaml --factory mymodel:build --text corpus.txt
    """
    from hptransfer.starter import write_starter

    click.echo(write_starter(**options))


def _options(given: dict[str, Any]) -> Any:
    from hptransfer.workspace import Options

    return Options.from_command_line(given)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and leave with its exit status; an expected error is one message, never a traceback."""
    try:
        cli.main(args=list(arguments) if arguments is not None else None, standalone_mode=False)
    except click.exceptions.Exit as leaving:
        sys.exit(leaving.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(1)
    except HptransferError as error:
        click.echo(f"hptransfer: {error}", err=True)
        sys.exit(error.exit_status)
    sys.exit(0)
