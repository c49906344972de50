"""`hptransfer export`: the per-tensor settings of a target, for another trainer."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import click

from hptransfer.cli.options import asking, targeted
from hptransfer.common.choices import ExportForm
from hptransfer.common.errors import InputError

__all__ = ["export"]


@click.command(short_help="Write per-tensor settings for another trainer.")
@asking
@targeted
@click.option(
    "--format", "form", type=click.Choice(get_args(ExportForm)), default="json", show_default=True, help="Form."
)
@click.option("--output", type=click.Path(path_type=Path), metavar="FILE", help="Write here instead of the terminal.")
def export(form: ExportForm, output: Path | None, **given: Any) -> None:
    """Write the per-tensor settings of a target for another trainer: JSON, YAML or a Python snippet.

    \b
    Example:
      hptransfer export my.yaml --width 2048 --density 1/16 --format python --output target.py
    """
    from hptransfer.drive.target import target_trial
    from hptransfer.scaling.explain import explain_rows, export_text
    from hptransfer.training.build import target_of

    trial, _ = target_trial(given)
    if form == "python" and trial.sparsity.kind != "random" and trial.density < 1:
        raise InputError(
            "the Python snippet draws unstructured random masks alone",
            where="sparsity.kind",
            found=trial.sparsity.kind,
            allowed="--format json or yaml, which name every tensor's density",
            hint="or call hptransfer.parametrize in the trainer",
        )
    text = export_text(explain_rows(target_of(trial)), form, optimizer=trial.training.optimizer)
    if output is None:
        click.echo(text, nl=False)
        return
    try:
        output.write_text(text)
    except OSError as error:
        raise InputError(f"cannot write the file: {error.strerror}", where=str(output)) from None
    click.echo(f"Wrote {output}.")
