"""What the recorder notes of a step, and that it lets the model go."""

import gc
import weakref
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from zoo.recurrent import Recurrent

from hptransfer.scaling.check.measure import NEXT_TOKEN, CheckSettings, coordinate_check
from hptransfer.scaling.parametrize import parametrize
from hptransfer.study.base import BaseHPs
from hptransfer.study.pieces import TrainingSpec
from hptransfer.tasks.models.gpt import GPT
from hptransfer.tasks.models.mlp import MLP

DRAW = torch.Generator().manual_seed(0)


TOKENS = torch.multinomial(1 / torch.arange(1, 65.0), 2 * 33, replacement=True, generator=DRAW).view(2, 33)


gpt = partial(GPT, vocab_size=64, context=64)


mlp = partial(MLP, vocab_size=64)


def test_a_recorded_size_by_hand():
    settings = CheckSettings(
        base_width=32,
        depth=1,
        steps=1,
        seeds=(0,),
        base=BaseHPs(lr=0.01, weight_decay=0.0),
        training=TrainingSpec(eps=1e-20),
    )
    frame = coordinate_check(mlp, TOKENS, widths=(32,), settings=settings).set_index(["module", "kind", "step"]).value
    assert frame["embed", "activation", 0] == pytest.approx(0.05 * (2 / np.pi) ** 0.5, rel=0.1)  # E|N(0, σ)|
    assert frame["blocks.0.up", "weight_update", 0] == pytest.approx(0.01, rel=0.01)  # Adam's first update is ±η
    assert frame["norm", "activation", 0] == pytest.approx((2 / np.pi) ** 0.5, rel=0.05)


def test_an_aligned_update_by_hand():
    """Adam's first update is −η·sign(G), so along the gradient δ of the output it is η·Σ|G| over Σ|δ|, G = Σ δ·xᵀ."""
    settings = CheckSettings(depth=1, steps=1, seeds=(0,), base=BaseHPs(lr=0.01, weight_decay=0.0))
    settings = replace(settings, training=TrainingSpec(eps=1e-20))
    seen = {}

    def watched(**options):
        model = mlp(**options)
        up = model.blocks[0].up

        def leave(module, given, output):
            if output.requires_grad and not output.is_meta:  # not the look at its shapes, nor the repeated module
                seen.setdefault("x", given[0].detach())
                output.register_hook(lambda gradient: seen.setdefault("delta", gradient.detach()))

        up.register_forward_hook(leave)
        return model

    frame = coordinate_check(watched, TOKENS, widths=(32,), settings=settings).set_index(["module", "kind", "step"])
    delta, x = seen["delta"].flatten(0, -2), seen["x"].flatten(0, -2)
    expected = 0.01 * (delta.T @ x).abs().sum() / delta.abs().sum()
    assert frame.value["blocks.0.up", "aligned_update", 0] == pytest.approx(float(expected), rel=1e-3)
    assert "aligned_update" not in frame.loc["embed"].index.get_level_values("kind")  # a lookup sums nothing


@pytest.mark.parametrize(
    ("build", "row"),
    [
        (partial(gpt, head_size=16, qk_norm=True), "blocks.0.attention (scores)"),
        (partial(Recurrent, nn.LSTM, vocabulary=64), "cell (weight_hh_l0)"),
    ],
)
def test_an_update_is_proportional_to_the_lr_where_a_module_is_not_linear_in_its_weights_too(build, row):
    """Normed queries can turn and no more, a gate can open and no more: at a searched LR a whole step shows that."""
    found = []
    for lr in (2**-10, 2**-2):
        settings = CheckSettings(depth=1, steps=1, seeds=(0,), base=BaseHPs(lr=lr, weight_decay=0.0))
        frame = coordinate_check(build, TOKENS, widths=(32,), settings=settings)
        sizes = frame[(frame.kind == "aligned_update") & (frame.step == 0)].set_index("module").value
        found.append(sizes[row] / lr)
    assert found[1] == pytest.approx(found[0], rel=0.1)


def test_a_model_that_was_measured_is_let_go():
    """Hooks on the graph know the recorder; were it to keep the graph, every model of a check would stay in memory."""
    alive = weakref.WeakSet()

    def watched(**options):
        model = gpt(**options)
        alive.update(model.modules())
        alive.update(model.parameters())
        return model

    settings = CheckSettings(depth=1, steps=2, seeds=(0,))
    coordinate_check(watched, TOKENS, widths=(32, 64), densities=(1, 1 / 4), settings=settings)
    gc.collect()
    assert not alive


def test_dropout_does_not_pass_for_an_update():
    class Dropping(MLP):
        def forward(self, tokens):
            return torch.nn.functional.dropout(super().forward(tokens), 0.5, self.training)

    def check():
        settings = CheckSettings(depth=1, steps=1, seeds=(0,))
        return coordinate_check(partial(Dropping, vocab_size=64), TOKENS, widths=(16, 32), settings=settings)

    pd.testing.assert_frame_equal(check(), check())


class TwoInOne(nn.Module):
    """One module with two matrices, of which the second has a hundredth of the say."""

    def __init__(self, width):
        super().__init__()
        self.big, self.small = (nn.Parameter(torch.randn(width, width)) for _ in "ab")

    def forward(self, x):
        return x @ self.big.T + 0.01 * x @ self.small.T


class Sharing(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.embed, self.two, self.readout = nn.Embedding(64, width), TwoInOne(width), nn.Linear(width, 64)

    def forward(self, tokens):
        return self.readout(self.two(self.embed(tokens)))


def test_matrices_that_share_a_module_have_rows_of_their_own():
    """Alone, the small one makes a hundredth of the output, and moves it by a hundredth of what the other moves it."""
    settings = CheckSettings(steps=1, seeds=(0,), training=TrainingSpec(eps=1e-20))
    frame = coordinate_check(Sharing, TOKENS, widths=(32,), settings=settings)
    value = frame.set_index(["module", "kind", "step"]).value
    whole, big, small = ("two", "two (big)", "two (small)")
    assert value[big, "activation", 0] == pytest.approx(value[whole, "activation", 0], rel=0.01)
    assert value[small, "activation", 0] == pytest.approx(0.01 * value[big, "activation", 0], rel=0.1)
    assert value[small, "aligned_update", 0] == pytest.approx(0.01 * value[big, "aligned_update", 0], rel=1e-3)
    assert value[whole, "aligned_update", 0] == pytest.approx(1.01 * value[big, "aligned_update", 0], rel=1e-3)
    assert set(frame[frame.module == small].role) == {"hidden"}


def test_looking_at_one_of_several_matrices_leaves_the_model_as_the_optimizer_left_it():
    settings = CheckSettings(steps=2, seeds=(0,))
    frame = coordinate_check(Sharing, TOKENS, widths=(32,), settings=settings)
    seen = frame.query("module == 'readout' and kind == 'activation'").value.tolist()
    scaled = parametrize(Sharing, width=32, base_width=32)
    optimizer = torch.optim.AdamW(scaled.param_groups, betas=(0.9, 0.95))
    by_hand = []
    for _ in range(3):
        by_hand.append(float(scaled.model(TOKENS[:, :-1]).abs().mean().detach()))
        optimizer.zero_grad()
        NEXT_TOKEN(scaled.model, TOKENS).backward()
        optimizer.step()
    assert seen == pytest.approx(by_hand, rel=1e-5)
