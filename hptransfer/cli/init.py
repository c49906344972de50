"""`hptransfer init`: a study file to start from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

__all__ = ["init"]


@click.command(short_help="Write a commented study file to start from.")
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
