"""The arguments and options that several commands share, each said once."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from pathlib import Path
from typing import Any, get_args

import click
from click.shell_completion import CompletionItem

from hptransfer.common.choices import Device, GridSearch, Products
from hptransfer.common.seams import EXECUTORS, OBSERVERS, Seam
from hptransfer.store.file_names import RESULTS_FOLDER

__all__ = ["JSON", "RESULTS", "SEARCH", "STORAGE", "asking", "targeted", "with_grid", "working"]

Command = Callable[..., Any]


class EntryName(click.ParamType):  # type: ignore[type-arg]  # older versions of click have no argument here
    """The name of a seam's entry, judged by its form alone: nothing is imported. Completes with the built-in ones."""

    name = "name"

    def __init__(self, seam: Seam) -> None:
        self.seam = seam

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The name as it is, or the seam's own refusal."""
        if not self.seam.knows(value):
            raise self.seam.refusal(value)
        return value

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """The built-in names that begin so."""
        return [CompletionItem(name) for name in self.seam.built_in if name.startswith(incomplete)]


SIZE = click.IntRange(min=1)
STUDY = click.argument("study", type=click.Path(path_type=Path), metavar="STUDY")
RESULTS = click.argument("results", metavar="RESULTS")
SET = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Override a setting of the study, such as grid.widths=[64,128] (repeatable).",
)
RESULTS_DIR = click.option(
    "--results",
    "results_dir",
    default=RESULTS_FOLDER,
    show_default=True,
    metavar="DIR",
    help="Where results folders live, a path or a URI that pyarrow.fs knows. The study's own is DIR/<name>.",
)
JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
BASE = click.option(
    "--base", "base_file", type=click.Path(path_type=Path), metavar="FILE", help="Take base HPs from this base.json."
)
SEARCH = click.option("--search", type=click.Choice(get_args(GridSearch)), help="Override `grid.search`.")
STORAGE = click.option(
    "--storage", metavar="URL", help="Mirror the search into this Optuna storage, e.g. sqlite:///optuna.db."
)


def _together(*options: Command) -> Command:
    """Several options as one decorator; help shows them in this order."""
    return lambda command: reduce(lambda decorated, option: option(decorated), reversed(options), command)


asking = _together(STUDY, SET, RESULTS_DIR, BASE)
"""The study and the options of every command that asks about it and trains none of its trials."""

working = _together(
    STUDY,
    SET,
    RESULTS_DIR,
    click.option(
        "--executor",
        type=EntryName(EXECUTORS),
        default="ray",
        show_default=True,
        metavar="NAME",
        help="Where trials run: local (this process), ray, tune (Ray Tune trials) or package.module:Class.",
    ),
    click.option("--address", metavar="HOST:PORT", help="A running Ray cluster; by default Ray starts here."),
    click.option("--workers", type=SIZE, metavar="N", help="Workers; by default one per core or GPU."),
    click.option(
        "--device",
        type=click.Choice(get_args(Device)),
        default="auto",
        show_default=True,
        help="What trials train on.",
    ),
    click.option(
        "--products",
        type=click.Choice(get_args(Products)),
        default="auto",
        show_default=True,
        help="How sparse layers multiply.",
    ),
    click.option(
        "--observe",
        type=EntryName(OBSERVERS),
        multiple=True,
        metavar="NAME",
        help="Also tell package.module:Class of counts, rows and the end (repeatable).",
    ),
    click.option(
        "--same-numbers",
        is_flag=True,
        help="Keep the rows of an entry of your own whose source has changed; it comes to the same numbers.",
    ),
    click.option("--no-compile", is_flag=True, help="Train eagerly; slower, starts at once."),
)
"""The study and the options of every command that trains."""

with_grid = _together(
    BASE, click.option("--yes", is_flag=True, help="Run a grid above `grid.max_trials` without asking."), SEARCH
)
"""The further options of a command that runs the grid."""

targeted = _together(
    click.option("--rule", default="supar", show_default=True, metavar="RULE", help="Rule to apply."),
    click.option("--width", type=SIZE, metavar="N", help="Target width; by default the grid's largest."),
    click.option("--depth", type=SIZE, metavar="N", help="Target depth; by default the base depth."),
    click.option("--density", metavar="D", help="Such as 0.0625 or 1/16; by default the grid's sparsest."),
)
"""The options that name a target: a rule applied at a width, depth and density."""
