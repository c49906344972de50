"""The proxy search as a picture: its history, slices through LR and init, their contour, what mattered."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hptransfer.common.number_text import power_text
from hptransfer.report.canvas import caption, empty, octave_axis, panels
from hptransfer.report.plot_sweep import NAMES
from hptransfer.report.points import prepared
from hptransfer.report.style import DIVERGED, INK, MUTED, look, sequence, series_styles

__all__ = ["importances", "plot_tuning", "tune_limits", "tune_rows"]

_BLUE = series_styles(["supar"])["supar"].colour


def tune_rows(frame: pd.DataFrame) -> pd.DataFrame:
    """The proxy search's rows in the order they finished, numbered from 1; `best` is the lowest loss so far."""
    rows = prepared(frame)
    rows = rows[(rows["phase"] == "tune") & (rows["status"] != "pruned")]
    if "finished_at" in rows:
        rows = rows.sort_values("finished_at", kind="stable")
    finite = rows["loss"].where(~rows["diverged"])
    return rows.assign(number=np.arange(1, len(rows) + 1), best=finite.cummin().ffill())


def importances(base: Mapping[str, Any] | None) -> dict[str, float]:
    """Share of the loss's variation each hyperparameter explains, from `base.json`, largest first; may be empty."""
    given = (base or {}).get("importances")
    if not isinstance(given, Mapping):
        return {}
    kept = {str(k): float(v) for k, v in given.items() if isinstance(v, int | float) and math.isfinite(v)}
    return dict(sorted(kept.items(), key=lambda pair: -pair[1]))


def plot_tuning(frame: pd.DataFrame, base: Mapping[str, Any] | None = None) -> Figure:
    """History, a slice for every searched one of LR and init, their contour, and importances where known."""
    rows = tune_rows(frame)
    if rows.empty:
        with look():
            return empty("The proxy search has no finished trial.")
    searched = [axis for axis in ("lr", "init_std") if rows[axis].nunique() > 1]
    shares = importances(base)
    count = 1 + len(searched) + (len(searched) == 2) + bool(shares)
    with look():
        figure, axes = panels(count, columns=min(3, count), share_y=False, between=0.85)
        _history(axes[0], rows)
        limits = tune_limits(rows)
        for ax, axis in zip(axes[1:], searched, strict=False):
            _slice(ax, rows, axis, base)
            ax.set_ylim(*limits)
        axes[0].set_ylim(*limits)
        if len(searched) == 2:
            _contour(axes[3], rows, base)
        if shares:
            _bars(axes[-1], shares)
        caption(figure, _legend(rows, limits[1]))
    return figure


def _legend(rows: pd.DataFrame, top: float) -> str:
    """What the marks mean, and how many finished trials the frame leaves out."""
    said = ["Proxy search.", "Dotted: the value chosen.", "Shaded: as good within the noise."]
    if rows["diverged"].any():
        said.append("× diverged.")
    if above := int((rows.loc[~rows["diverged"], "loss"] > top).sum()):
        said.append(f"{above} trials lie above the frame.")
    return "   ".join(said)


def tune_limits(rows: pd.DataFrame) -> tuple[float, float]:
    """From just below the best to the 80th percentile: the far tail says nothing about the optimum."""
    finite = rows.loc[~rows["diverged"], "loss"].dropna()
    if finite.empty:
        return 0.0, 1.0
    low, high = float(finite.min()), float(finite.quantile(0.8))
    pad = 0.1 * max(high - low, 0.01)
    return low - pad, high + pad


def _history(ax: Axes, rows: pd.DataFrame) -> None:
    ax.plot(rows["number"], rows["loss"], ls="none", marker="o", ms=3.5, mfc="none", mec=MUTED)
    ax.plot(rows["number"], rows["best"], color=_BLUE, drawstyle="steps-post", lw=1.8)
    ax.set_xlabel("trial")
    ax.set_ylabel("held-out loss (nats a token)")
    best = float(rows["best"].iloc[-1])
    ax.set_title("history" + (f"   best {best:.3f}" if math.isfinite(best) else ""))


def _slice(ax: Axes, rows: pd.DataFrame, axis: str, base: Mapping[str, Any] | None) -> None:
    fine, lost = rows[~rows["diverged"]], rows[rows["diverged"]]
    colours = sequence("density", 64)
    ranks = ((fine["number"] - 1) / max(1, len(rows) - 1) * 63).astype(int)
    ax.scatter(fine[axis], fine["loss"], s=20, c=[colours[r] for r in ranks], zorder=3)
    octave_axis(ax, float(rows[axis].min()), float(rows[axis].max()), NAMES[axis], most=6)
    trans = ax.get_xaxis_transform()
    ax.plot(lost[axis], np.ones(len(lost)), ls="none", marker="x", color=DIVERGED, ms=5, transform=trans, clip_on=False)
    _chosen(ax, axis, base, named=axis == "lr")
    ax.set_title("learning rate" if axis == "lr" else "init std")


def _chosen(ax: Axes, axis: str, base: Mapping[str, Any] | None, *, named: bool) -> None:
    value = (base or {}).get(axis)
    if not isinstance(value, int | float):
        return
    ax.axvline(value, color=INK, lw=1, ls=(0, (1, 2)))
    low, high = (base or {}).get("flat_low"), (base or {}).get("flat_high")
    if named and isinstance(low, int | float) and isinstance(high, int | float):
        ax.axvspan(low, high, color=_BLUE, alpha=0.1, lw=0)
        ax.annotate(
            f"chosen {power_text(value)}",
            (value, 0.0),
            xycoords=("data", "axes fraction"),
            xytext=(5, 4),
            textcoords="offset points",
            fontsize=7.5,
            color=MUTED,
        )


def _contour(ax: Axes, rows: pd.DataFrame, base: Mapping[str, Any] | None) -> None:
    """Loss over LR × init by linear interpolation between the trials; nothing is drawn outside them."""
    fine = rows[~rows["diverged"]]
    fine = fine[fine["loss"] <= fine["loss"].quantile(0.8)]
    x, y, z = np.log2(fine["lr"]), np.log2(fine["init_std"]), fine["loss"]
    if len(fine) >= 6 and x.nunique() > 2 and y.nunique() > 2:
        levels = np.linspace(float(z.min()), float(z.max()) + 1e-9, 9)
        ax.tricontourf(2.0**x, 2.0**y, z, levels=levels, cmap="YlGnBu_r", alpha=0.85)
    ax.scatter(rows["lr"], rows["init_std"], s=9, color=INK, lw=0, zorder=3)
    octave_axis(ax, float(rows["lr"].min()), float(rows["lr"].max()), NAMES["lr"], most=6)
    ax.set_yscale("log", base=2)
    ax.yaxis.set_major_formatter(lambda v, _: power_text(v))
    ax.yaxis.minorticks_off()
    ax.set_ylim(float(rows["init_std"].min()) / 1.3, float(rows["init_std"].max()) * 1.3)
    ax.grid(False)
    if base and isinstance(base.get("lr"), int | float) and isinstance(base.get("init_std"), int | float):
        ax.plot(base["lr"], base["init_std"], marker="D", ms=8, mfc="white", mec=DIVERGED, mew=1.8, ls="none", zorder=5)
    ax.set_ylabel("base init std")
    ax.set_title("both: darker is lower")


def _bars(ax: Axes, shares: Mapping[str, float]) -> None:
    names = list(shares)[::-1]
    ax.barh(names, [shares[n] for n in names], color=_BLUE, height=0.55)
    for i, name in enumerate(names):
        ax.annotate(
            f"{100 * shares[name]:.0f}%",
            (shares[name], i),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
        )
    ax.set_xlim(0, 1.15 * max(shares.values()))
    ax.set_ylim(min(-0.6, len(names) - 6.6), len(names) - 0.4)
    ax.set_xticks([])
    ax.grid(False)
    ax.spines["bottom"].set_visible(False)
    ax.set_title("what mattered")
