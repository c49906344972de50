"""The pictures as files, and as figures for a notebook."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import get_args

from matplotlib.figure import Figure
from PIL import Image

from hptransfer.analysis.results import Results
from hptransfer.common.choices import PictureFormat
from hptransfer.common.errors import InputError
from hptransfer.report.draw import draw, empty, look
from hptransfer.report.figures.pictures import KINDS, pictures
from hptransfer.store.file_names import PLOTS_FOLDER
from hptransfer.store.folders import Folder

__all__ = ["figure_bytes", "named_figures", "plot", "save_plots"]


def plot(results: Results, kind: str) -> Figure:
    """The first picture of a kind (`lr`, `stability`, `regret`, … as `--kind` takes it); it says so where none is."""
    found = next(named_figures(results, [kind]), None)
    return found[1] if found else empty(f"There is nothing to draw yet of the kind {kind}.")


def named_figures(results: Results, kinds: Sequence[str] | None = None) -> Iterator[tuple[str, Figure]]:
    """(file stem, Figure) for every picture of these kinds that has data."""
    for picture in pictures(results, kinds or KINDS):
        for stem, part in picture.files().items():
            yield stem, draw(part)


def figure_bytes(figure: Figure, fmt: str) -> bytes:
    """A figure as a PNG, SVG or PDF file; the same figure always gives the same bytes."""
    if fmt not in (formats := get_args(PictureFormat)):
        raise InputError("no such picture format", where="--format", found=fmt, allowed=", ".join(formats))
    buffer = io.BytesIO()
    stamp = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {"Software": None}}[fmt]
    with look():
        figure.savefig(buffer, format=fmt, metadata=stamp)
    return _with_palette(buffer) if fmt == "png" else buffer.getvalue()


def _with_palette(png: io.BytesIO) -> bytes:
    """The same picture in at most 256 colours: a third of the size, and nothing to see of it in line drawings."""
    small = io.BytesIO()
    with Image.open(png) as picture:
        picture.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(small, "PNG", optimize=True)
    return small.getvalue()


def save_plots(
    results: Results, folder: Folder, kinds: Sequence[str] | None = None, formats: Sequence[str] = ("png", "svg")
) -> list[str]:
    """Write the pictures that have data into the plots/ of a results folder; returns the paths or URIs written.

    Earlier pictures of these kinds and formats that have data no more are removed.
    """
    names = []
    for stem, figure in named_figures(results, kinds):
        for fmt in formats:
            names.append(f"{PLOTS_FOLDER}/{stem}.{fmt}")
            folder.write(names[-1], figure_bytes(figure, fmt))
    for name in folder.names(PLOTS_FOLDER):
        stem, _, fmt = name.removeprefix(f"{PLOTS_FOLDER}/").rpartition(".")
        if name not in names and fmt in formats and stem.partition("-")[0] in (kinds or KINDS):
            folder.remove(name)
    return [folder.path_of(name) for name in names]
