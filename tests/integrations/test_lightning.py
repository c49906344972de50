"""Lightning trains what a plain loop trains, in one process and in two, and what it leaves is folded."""

import os
import socket
import warnings

import pytest
import torch
from lightning import LightningModule, Trainer
from small_gpt import TOKENS, loss_of, small
from worked_examples import is_as_sparse_as, run_block

from hptransfer.study.base import BaseHPs

BASE = BaseHPs(lr=2.0**-7, weight_decay=0.1, alpha_input=3.0, alpha_output=5.0, init_std=0.2)
MASKED = 6
"""One block of four matrices of attention and two of the FFN."""


class Training(LightningModule):
    def __init__(self, seed=0):
        super().__init__()
        self.scaled = small(base=BASE, seed=seed)
        self.model = self.scaled.model

    def training_step(self, tokens):
        return torch.nn.functional.cross_entropy(self.model(tokens[:, :-1]).flatten(0, 1), tokens[:, 1:].flatten())

    def configure_optimizers(self):
        return torch.optim.AdamW(self.scaled.param_groups)


def trained(folder, *, checkpoint=None, steps=3, training=None, **options):
    """Every step takes the whole batch, spread over the processes."""
    training = training or Training()
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = Trainer(
        max_steps=steps, default_root_dir=folder, enable_checkpointing=False, accelerator="cpu", **quiet, **options
    )
    batches = torch.utils.data.DataLoader(TOKENS, batch_size=len(TOKENS) // options.get("devices", 1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it gives advice about workers
        trainer.fit(training, batches, ckpt_path=checkpoint)
    return training, trainer


def by_hand():
    p = small(base=BASE)
    optimizer = torch.optim.AdamW(p.param_groups)
    for _ in range(3):
        optimizer.zero_grad()
        loss_of(p.model).backward()
        optimizer.step()
    return p.model


def is_trained_as_by_hand(model):
    return all(torch.allclose(model.get_parameter(n), w, atol=1e-4) for n, w in by_hand().named_parameters())


def test_the_pages_example_runs_and_the_saved_weights_are_those_of_the_trained_model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    names = run_block("train_lightning.py", tmp_path)
    scaled = names["training"].scaled
    untrained = names["Training"]().model
    assert is_as_sparse_as(scaled.model, untrained, tensors=2)
    plain = names["build"](width=128)
    plain.load_state_dict(torch.load("target.pt"))
    tokens = torch.randint(0, 256, (4, 64))
    assert torch.allclose(plain(tokens), scaled.model(tokens), atol=1e-5)


def free_port():
    """Below those that the system hands to any connection: such a one may be taken before the processes meet there."""
    for port in range(23_000 + os.getpid() % 5_000, 32_000):
        with socket.socket() as tried:
            if tried.connect_ex(("127.0.0.1", port)) != 0:
                return port
    raise AssertionError("no free port")


@pytest.mark.parametrize(
    "options",
    [{}, {"strategy": "ddp_spawn", "devices": 2}],
    ids=["one process", "DDP in two"],
)
def test_it_trains_as_a_plain_loop_does(options, tmp_path, monkeypatch):
    monkeypatch.setenv("MASTER_PORT", str(free_port()))
    training, _ = trained(tmp_path, **options)
    assert is_as_sparse_as(training.model, Training().model, tensors=MASKED)
    assert is_trained_as_by_hand(training.model)


@pytest.mark.parametrize("precision", ["bf16-mixed", "bf16-true"])
def test_zeros_hold_in_bf16(precision, tmp_path):
    training, _ = trained(tmp_path, precision=precision)
    assert is_as_sparse_as(training.model, Training().model, tensors=MASKED)


def test_a_run_that_was_broken_off_ends_where_an_unbroken_one_does(tmp_path):
    _, trainer = trained(tmp_path, steps=2)
    trainer.save_checkpoint(tmp_path / "two.ckpt")
    resumed, _ = trained(tmp_path, training=Training(seed=1), checkpoint=tmp_path / "two.ckpt")
    assert is_as_sparse_as(resumed.model, Training().model, tensors=MASKED)
    assert is_trained_as_by_hand(resumed.model)
