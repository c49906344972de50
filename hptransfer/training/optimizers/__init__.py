"""Optimizers as functions of tensors, a file each."""
