"""Zeros stay zero in a user's own loop: in training, in copies, in checkpoints, compiled."""

import copy
import gc
import io
import pickle
import weakref

import pytest
import torch
from small_gpt import TOKENS, gpt, loss_of, small, train, zeros_hold

from hptransfer.scaling.mask_hooks import masked_parameters
from hptransfer.scaling.parametrize import parametrize


def test_zeros_hold_in_training():
    p = small()
    train(p.model, p.param_groups)
    assert zeros_hold(p.model)


def test_clipping_sees_masked_gradients():
    p = small()
    loss_of(p.model).backward()
    for name, mask in masked_parameters(p.model).items():
        assert not p.model.get_parameter(name).grad[~mask].any()


def saved(model):
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m)), saved])
def test_copies_give_the_same_logits_and_keep_their_zeros(copied):
    model = small().model
    twin = copied(model)
    assert torch.equal(twin(TOKENS[:, :-1]), model(TOKENS[:, :-1]))
    train(twin)
    assert zeros_hold(twin)
    train(copied(twin))
    assert not torch.equal(twin(TOKENS[:, :-1]), model(TOKENS[:, :-1]))


def test_state_dict_into_a_model_of_another_seed():
    first, second = small(seed=0).model, small(seed=7).model
    train(first)
    assert not torch.equal(first(TOKENS[:, :-1]), second(TOKENS[:, :-1]))
    second.load_state_dict(first.state_dict())
    assert torch.equal(first(TOKENS[:, :-1]), second(TOKENS[:, :-1]))
    train(second)
    assert zeros_hold(second)
    for name, mask in masked_parameters(first).items():
        assert torch.equal(mask, masked_parameters(second)[name])


def test_a_dense_checkpoint_is_masked_on_loading_even_by_assignment():
    model = small().model
    dense = {n: torch.ones_like(w) for n, w in model.state_dict().items() if "hpt_" not in n}
    model.load_state_dict(dense, strict=False)
    assert zeros_hold(model)
    model.load_state_dict({n: w.clone() for n, w in dense.items()}, strict=False, assign=True)
    for weight in model.parameters():
        weight.requires_grad_()
    loss_of(model).backward()
    name = "blocks.0.ffn.up.weight"
    assert not model.get_parameter(name).grad[~masked_parameters(model)[name]].any()


@pytest.mark.slow
def test_a_compiled_model_is_one_graph_and_keeps_its_zeros():
    p = small()
    eager = copy.deepcopy(p.model)
    compiled = torch.compile(p.model, backend="aot_eager", fullgraph=True)
    train(compiled, p.param_groups)
    assert zeros_hold(p.model)
    train(eager, [{**g, "params": [eager.get_parameter(n) for n in g["tensors"]]} for g in p.param_groups])
    for (_, a), b in zip(eager.named_parameters(), p.model.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-5)
    twin = copy.deepcopy(p.model)  # has not run: its hooks come back inside the first compiled call
    train(torch.compile(twin, backend="aot_eager"))
    assert zeros_hold(twin)


def test_a_masked_model_goes_with_its_last_reference():
    """No ring of hook, module and parameter keeps it until a collection."""
    gc.collect()
    gc.disable()
    try:
        scaled = parametrize(gpt, width=32, base_width=32, density=1 / 4, depth=1)
        watched = weakref.ref(scaled.model.get_parameter("blocks.0.ffn.up.weight"))
        del scaled
        assert watched() is None
    finally:
        gc.enable()
