"""Tune hyperparameters on a small dense model, transfer them to large sparse ones, and know whether they hold.

The few names a user imports. They load on first use, so that `import hptransfer` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from hptransfer.common.version import __version__

if TYPE_CHECKING:
    from hptransfer.analysis.results import load_results as load_results
    from hptransfer.analysis.verdict import judge as judge
    from hptransfer.drive.load_study import load_study as load_study
    from hptransfer.scaling.parametrize import parametrize as parametrize
    from hptransfer.store.read_results import read_results as read_results
    from hptransfer.study.base import BaseHPs as BaseHPs

_WHERE = {
    "BaseHPs": "hptransfer.study.base",
    "judge": "hptransfer.analysis.verdict",
    "load_results": "hptransfer.analysis.results",
    "load_study": "hptransfer.drive.load_study",
    "parametrize": "hptransfer.scaling.parametrize",
    "read_results": "hptransfer.store.read_results",
}
__all__ = ["BaseHPs", "__version__", "judge", "load_results", "load_study", "parametrize", "read_results"]


def __getattr__(name: str) -> object:
    if name not in _WHERE:
        raise AttributeError(f"module 'hptransfer' has no attribute '{name}'")
    return getattr(import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
