"""Tune hyperparameters on a small dense model, transfer them to large sparse ones, and know whether they hold."""

__version__ = "0.1.0"
