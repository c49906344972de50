"""An entry is named on the command line as in a study: a built-in name or one of the user's own."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from hptransfer.cli.options import EntryName, targeted, working
from hptransfer.common.errors import InputError
from hptransfer.common.seams import EXECUTORS


@click.command()
@working
def train(**options: object) -> None:
    click.echo(f"{options['executor']} {options['observe']} {options['overrides']}")


def test_entries_are_built_in_or_outside_and_several_observers_may_be_named() -> None:
    told = CliRunner().invoke(train, ["--executor", "lab.queue:Queue", "--observe", "a:B", "--observe", "c:D"])
    assert told.output == "lab.queue:Queue ('a:B', 'c:D') ()\n"
    assert CliRunner().invoke(train, ["--set", "a=1", "--set", "b=2"]).output == "ray () ('a=1', 'b=2')\n"


def test_a_name_that_is_neither_is_the_seams_own_refusal() -> None:
    with pytest.raises(InputError, match=r"--executor: no such executor; found 'raay'.*did you mean 'ray'"):
        CliRunner().invoke(train, ["--executor", "raay"], catch_exceptions=False)


def test_the_shell_completes_the_names_that_ship() -> None:
    name, context = EntryName(EXECUTORS), click.Context(train)
    assert [item.value for item in name.shell_complete(context, click.Argument(["x"]), "l")] == ["local"]


def test_options_are_shown_in_the_order_they_are_written() -> None:
    @click.command()
    @targeted
    def look(**options: object) -> None: ...

    assert [option.name for option in look.params] == ["rule", "width", "depth", "density"]
