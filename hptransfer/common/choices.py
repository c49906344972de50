"""Closed choices that the command line offers as well, each said once: as a type, whose words `get_args` gives.

Apart from the schema and the trainer, so that help and completion load neither pydantic nor torch. What users may add
to is no closed choice but a seam: `hptransfer.common.seams`.
"""

from __future__ import annotations

from typing import Literal

__all__ = ["Device", "ExportForm", "GridSearch", "PictureFormat", "Products", "PrunerName"]

GridSearch = Literal["fixed", "bracket"]
PrunerName = Literal["median", "hyperband", "successive_halving"]
Device = Literal["auto", "cpu", "cuda"]
Products = Literal["auto", "dense", "sparse"]
ExportForm = Literal["json", "yaml", "python"]
PictureFormat = Literal["png", "svg", "pdf"]
