"""A small masked GPT as `parametrize` hands it over, a few steps to train it, and whether its zeros held."""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F

from hptransfer.scaling.mask_hooks import masked_parameters
from hptransfer.scaling.parametrize import parametrize
from hptransfer.tasks.models.gpt import GPT

gpt = partial(GPT, head_size=16, vocab_size=32, context=16)
small = partial(parametrize, gpt, width=64, base_width=32, depth=1, density=0.25)
TOKENS = torch.randint(0, 32, (4, 17), generator=torch.Generator().manual_seed(0))


def loss_of(model):
    return F.cross_entropy(model(TOKENS[:, :-1]).flatten(0, 1), TOKENS[:, 1:].flatten())


def train(model, groups=None, steps=3):
    optimizer = torch.optim.AdamW(groups or model.parameters(), lr=2.0**-7, weight_decay=0.1)
    for _ in range(steps):
        optimizer.zero_grad()
        loss_of(model).backward()
        optimizer.step()


def zeros_hold(model):
    masks = masked_parameters(model)
    assert len(masks) == 6
    for name, mask in masks.items():
        weight = model.get_parameter(name)
        assert not weight[~mask].any()
        assert weight[mask].all()
    return True
