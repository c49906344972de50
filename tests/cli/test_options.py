"""Options that several commands share."""

from __future__ import annotations

import click
import pytest

from hptransfer.cli.options import Command, EntryName, targeted, working
from hptransfer.common.errors import InputError
from hptransfer.common.seams import EXECUTORS


def a_command(decorate: Command) -> click.Command:
    return click.command()(decorate(lambda: None))


def test_help_shows_options_in_the_order_they_are_written() -> None:
    options = [parameter.name for parameter in a_command(targeted).params]
    assert options == ["rule", "width", "depth", "density"]


def test_every_command_that_trains_names_an_executor_and_observers() -> None:
    options = {parameter.name: parameter for parameter in a_command(working).params}
    assert options["executor"].default == "ray"
    assert options["observe"].multiple


@pytest.mark.parametrize("name", ["local", "tune", "package.that.is.gone:Executor"])
def test_a_name_is_judged_by_its_form_and_nothing_is_imported(name: str) -> None:
    assert EntryName(EXECUTORS).convert(name, None, None) == name


def test_a_name_that_has_no_form_is_refused_with_the_nearest() -> None:
    with pytest.raises(InputError, match=r"--executor: no such executor; found 'rays'.*did you mean 'ray'\?"):
        EntryName(EXECUTORS).convert("rays", None, None)


def test_built_in_names_complete() -> None:
    context = click.Context(a_command(working))
    offered = EntryName(EXECUTORS).shell_complete(context, click.Option(["--executor"]), "t")
    assert [item.value for item in offered] == ["tune"]
