"""Models: ordinary modules, and the one door through which a factory is found."""

from hptransfer.tasks.models.factory import resolve_factory
from hptransfer.tasks.models.gpt import GPT
from hptransfer.tasks.models.mlp import MLP

__all__ = ["GPT", "MLP", "resolve_factory"]
