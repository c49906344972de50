"""Hugging Face's `Trainer`, which needs accelerate, trains what a plain loop trains, and what it leaves is folded."""

import copy
from functools import partial

import pytest
import torch
from test_architectures import hugging_llama
from transformers import AutoModelForCausalLM, Trainer, TrainingArguments
from worked_examples import is_as_sparse_as, run_block

from hptransfer.scaling.parametrize import parametrize
from hptransfer.study.base import BaseHPs

TOKENS = torch.randint(0, 64, (4, 16), generator=torch.Generator().manual_seed(0))
EXAMPLES = [{"input_ids": row, "labels": row} for row in TOKENS]
BASE = BaseHPs(lr=2.0**-7, weight_decay=0.1, alpha_input=3.0, alpha_output=5.0, init_std=0.2)
start = partial(parametrize, hugging_llama, width=64, base_width=32, depth=2, density=0.25, base=BASE)
MASKED = 14
"""Two blocks of four matrices of attention and three of the gated FFN."""


def trainer(p, folder, *, groups=True, **options):
    """Every step takes the whole batch, so that its order does not matter."""
    told = {"max_steps": 3, "per_device_train_batch_size": len(EXAMPLES), "max_grad_norm": 0.0, "use_cpu": True}
    arguments = TrainingArguments(str(folder), report_to=[], **told, **options)
    optimizer = torch.optim.AdamW(p.param_groups) if groups else None
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, _half_after_the_first) if groups else None
    return Trainer(p.model, arguments, train_dataset=EXAMPLES, optimizers=(optimizer, schedule))


def _half_after_the_first(step):
    return 1.0 if step == 0 else 0.5


def train_by_hand(p, steps=3):
    optimizer = torch.optim.AdamW(p.param_groups)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = BASE.lr * group["lr_scale"] * _half_after_the_first(step)
        optimizer.zero_grad()
        p.model(TOKENS, labels=TOKENS).loss.backward()
        optimizer.step()


def test_the_pages_example_runs_and_the_saved_model_is_the_trained_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = run_block("train_hugging_face.py", tmp_path)
    model = names["scaled"].model.eval()
    untrained = parametrize(
        names["build"], width=128, base_width=64, rule="supar", density=1 / 8, base=names["base"]
    ).model
    assert is_as_sparse_as(model, untrained, tensors=MASKED)
    loaded, told = AutoModelForCausalLM.from_pretrained("target", output_loading_info=True)
    assert not any(told.values())
    tokens = torch.arange(32)[None]
    assert torch.allclose(loaded(tokens).logits, model(tokens).logits, atol=1e-5)


def test_it_trains_as_a_plain_loop_does(tmp_path):
    p, by_hand, untrained = start(), start(), start()
    trainer(p, tmp_path, save_strategy="no").train()
    train_by_hand(by_hand)
    assert is_as_sparse_as(p.model, untrained.model, tensors=MASKED)
    for name, expected in by_hand.model.named_parameters():
        assert torch.allclose(p.model.get_parameter(name), expected, atol=1e-5), name


@pytest.mark.parametrize("options", [{"bf16": True}, {"groups": False}], ids=["bf16", "its own optimizer"])
def test_zeros_hold_however_it_trains_and_the_folded_model_is_the_trained_one(options, tmp_path):
    p, untrained = start(), start()
    trainer(p, tmp_path, save_strategy="no", **options).train()
    assert is_as_sparse_as(p.model, untrained.model, tensors=MASKED)
    p.fold().save_pretrained(tmp_path / "target")
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "target")
    in_fp32 = start(seed=1).model.eval()  # the trained one's forward pass is still wrapped in autocast
    in_fp32.load_state_dict(p.model.state_dict())
    assert torch.allclose(loaded(TOKENS).logits, in_fp32(TOKENS).logits, atol=1e-4)


def test_a_run_that_was_broken_off_ends_where_an_unbroken_one_does(tmp_path):
    whole, broken_off, resumed = start(), start(), start(seed=1)
    trainer(whole, tmp_path / "whole", save_strategy="no").train()
    trainer(broken_off, tmp_path / "parts", save_strategy="steps", save_steps=2).train()
    assert not torch.equal(resumed.model.lm_head.weight, broken_off.model.lm_head.weight)
    untrained = copy.deepcopy(resumed.model)
    trainer(resumed, tmp_path / "again", save_strategy="no").train(str(tmp_path / "parts" / "checkpoint-2"))
    for name, expected in whole.model.state_dict().items():  # masks and multipliers among them
        assert torch.allclose(resumed.model.state_dict()[name].float(), expected.float(), atol=1e-6), name
    assert is_as_sparse_as(resumed.model, untrained, tensors=MASKED)
