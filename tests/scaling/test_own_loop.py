"""Whatever a user's own loop does to the model, its zeros stay, its multipliers act, and the optimizer finds it.

Each way is taken before the optimizer is made and once more between its steps. Several processes: `test_sharded.py`.
"""

import contextlib
import copy
import pickle

import pytest
import torch
import torch.nn.functional as F
from small_gpt import TOKENS, gpt, small, zeros_hold

from hptransfer.common.errors import InputError
from hptransfer.scaling.fold import fold
from hptransfer.scaling.mask_hooks import masked_parameters
from hptransfer.study.base import BaseHPs

BASE = BaseHPs(lr=2.0**-7, weight_decay=0.1, alpha_input=3.0, alpha_output=5.0, init_std=0.2)
INPUTS = TOKENS[:, :-1]
BF16 = 2.0**-6
"""bf16 rounds a logit by up to 2⁻⁹ of it, and the layers before it do as much once more: 2⁻⁷·⁴ was seen."""


def loaded_by_assignment(p):
    """Every parameter is another one now, and a dense one at first."""
    state = {n: v.clone() for n, v in p.model.state_dict().items()}
    for name in masked_parameters(p.model):
        state[name][state[name] == 0] = 1.0
    p.model.load_state_dict(state, assign=True)
    return p


def in_bf16(p):
    p.model.to(torch.bfloat16)
    return p


WAYS = {
    "as it is": lambda p: p,
    "deepcopy": copy.deepcopy,
    "pickle": lambda p: pickle.loads(pickle.dumps(p)),
    "load_state_dict(assign=True)": loaded_by_assignment,
    "to(bfloat16)": in_bf16,
}
OPTIMIZERS = {
    "adamw": lambda p: torch.optim.AdamW(p.param_groups),
    "sgd": lambda p: torch.optim.SGD(p.param_groups, momentum=0.9, nesterov=True),
}


def steps(p, make, model=None, around=contextlib.nullcontext, count=3):
    optimizer = make(p)
    called = p.model if model is None else model
    for _ in range(count):
        optimizer.zero_grad()
        with around():
            logits = called(INPUTS)
        F.cross_entropy(logits.float().flatten(0, 1), TOKENS[:, 1:].flatten()).backward()
        optimizer.step()


def multipliers_act(model, rounding=1e-5):
    """The model computes what its folded weights do in float64, and not what its weights alone would.

    `rounding` is relative to the largest logit. The weights alone are far outside of it in every dtype.
    """
    exact = fold(copy.deepcopy(model).double())(INPUTS).detach()
    bare = gpt(width=64, depth=1).double()
    bare.load_state_dict({n: v for n, v in model.state_dict().items() if "hpt_" not in n})
    logits, alone = model(INPUTS).detach(), bare(INPUTS).detach()
    off, off_alone = (float((x - exact).abs().max() / exact.abs().max()) for x in (logits, alone))
    return off < rounding and off_alone > 0.1


def start_of(name):
    return small(base=BASE, **({"optimizer": "sgd", "decay": "coupled"} if name == "sgd" else {}))


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("way", WAYS)
def test_zeros_stay_multipliers_act_and_weights_move(way, optimizer):
    p = WAYS[way](start_of(optimizer))
    for _ in range(2):
        before = {n: w.detach().clone() for n, w in p.model.named_parameters()}
        steps(p, OPTIMIZERS[optimizer])
        assert zeros_hold(p.model)
        assert not any(torch.equal(w, before[n]) for n, w in p.model.named_parameters() if w.dim() > 1)
        assert multipliers_act(p.model, BF16 if way == "to(bfloat16)" else 1e-5)
        p = WAYS[way](p)


def test_autocast():
    p = small(base=BASE)
    steps(p, OPTIMIZERS["adamw"], around=lambda: torch.autocast("cpu", torch.bfloat16))
    assert zeros_hold(p.model)
    assert multipliers_act(p.model)


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_compiled(way):
    """With an optimizer that never asks for our param groups: only the forward pass, or less, can arm the model."""
    p = WAYS[way](small(base=BASE))
    steps(p, lambda p: torch.optim.AdamW(p.model.parameters(), BASE.lr), torch.compile(p.model, backend="aot_eager"))
    assert zeros_hold(p.model)
    assert multipliers_act(p.model, BF16 if way == "to(bfloat16)" else 1e-5)


def test_param_groups_are_of_the_parameters_that_the_model_has_now():
    p = small()
    loaded_by_assignment(p)
    theirs = {id(w) for group in p.param_groups for w in group["params"]}
    assert theirs == {id(w) for w in p.model.parameters()}
    twin = copy.deepcopy(p)
    assert {id(w) for group in twin.param_groups for w in group["params"]} == {id(w) for w in twin.model.parameters()}


@pytest.mark.slow
def test_param_groups_arm_the_model_so_that_a_compiled_forward_pass_need_not():
    p = small()
    up = p.model.blocks[0].ffn.up
    up.weight = torch.nn.Parameter(up.weight.detach().clone())
    steps(p, OPTIMIZERS["adamw"], torch.compile(p.model, backend="aot_eager"), count=1)
    assert zeros_hold(p.model)


def test_hooks_do_not_pile_up():
    p = small()
    for _ in range(4):
        steps(p, OPTIMIZERS["adamw"], count=1)
    for name in masked_parameters(p.model):
        assert len(p.model.get_parameter(name)._backward_hooks) == 1


def test_zeros_that_are_lost_stop_the_loop_in_words_at_the_next_step():
    """Something that trains past the hooks: here, an optimizer step without a gradient of ours."""
    p = small()
    p.model(INPUTS)
    with torch.no_grad():
        p.model.blocks[0].ffn.up.weight.add_(1.0)
    with pytest.raises(InputError, match=r"blocks\.0\.ffn\.up\.weight: what trains this model does not see its masks"):
        p.model(INPUTS)


def test_weights_that_diverged_are_no_lost_zeros():
    p = small()
    p.model(INPUTS)
    with torch.no_grad():
        p.model.blocks[0].ffn.up.weight.fill_(float("nan"))
    assert p.model(INPUTS).isnan().any()


def test_tensors_of_torch_func_are_left_alone():
    p = small()
    others = {n: torch.ones_like(w) for n, w in p.model.named_parameters()}
    for _ in range(4):
        torch.func.functional_call(p.model, others, (INPUTS,))
    stacked = {n: torch.stack([w, w]) for n, w in others.items()}
    for _ in range(4):
        torch.func.vmap(lambda weights: torch.func.functional_call(p.model, weights, (INPUTS,)))(stacked)
    assert zeros_hold(p.model)
