"""Two real processes that train the small masked GPT together, each on half of the batch, and what came of it."""

from __future__ import annotations

import traceback
from pathlib import Path

import torch
import torch.distributed as dist
import torch.nn.functional as F
from small_gpt import TOKENS, small
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, Partial

from hptransfer.common.errors import InputError
from hptransfer.scaling.mask_hooks import masked_parameters
from hptransfer.scaling.sharded import cut_like
from hptransfer.study.base import BaseHPs
from hptransfer.tasks.models.gpt import Block

SETTINGS = {"base": BaseHPs(lr=2.0**-7, weight_decay=0.1, alpha_input=3.0, alpha_output=5.0), "depth": 2}


def step_through(model, groups, tokens=TOKENS, steps=3):
    """AdamW with decay. The mean over processes of the loss of equal parts is the loss of the whole batch."""
    optimizer = torch.optim.AdamW(groups)
    for _ in range(steps):
        optimizer.zero_grad()
        F.cross_entropy(model(tokens[:, :-1]).float().flatten(0, 1), tokens[:, 1:].flatten()).backward()
        optimizer.step()


def whole(tensor):
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def state_of(model):
    """Weights and masks, gathered."""
    weights = {n.removeprefix("module."): whole(p.detach()).clone() for n, p in model.named_parameters()}
    masks = {n.removeprefix("module."): whole(m).clone() for n, m in masked_parameters(model).items()}
    return {"weights": weights, "masks": masks}


def half_of_the_batch():
    return TOKENS.chunk(2)[dist.get_rank()]


def ddp(**options):
    p = small(**SETTINGS)
    model = torch.nn.parallel.DistributedDataParallel(p.model, **options)
    step_through(model, p.param_groups, half_of_the_batch())
    return state_of(p.model)


def ddp_without_broadcasts():
    return ddp(broadcast_buffers=False)


def sharded(*, blocks=True, **settings):
    """`fully_shard`, block by block as one does it, or the model at once."""
    from torch.distributed.fsdp import fully_shard

    p = small(**SETTINGS)
    for block in p.model.blocks if blocks else ():
        fully_shard(block, **settings)
    fully_shard(p.model, **settings)
    return p


def trained(p):
    step_through(p.model, p.param_groups, half_of_the_batch())
    return state_of(p.model)


def fsdp2():
    return trained(sharded())


def fsdp2_at_once():
    return trained(sharded(blocks=False))


def fsdp2_with_groups_of_ones_own(wrap=lambda model: model):
    """An optimizer that never asks for our param groups: the forward pass alone must find the parameters."""
    model = sharded().model
    step_through(wrap(model), [{"params": list(model.parameters()), "lr": 2.0**-7}], half_of_the_batch())
    return state_of(model)


def fsdp2_compiled_with_groups_of_ones_own():
    """The model is armed from before it was sharded, and a compiled forward pass looks at little."""
    return fsdp2_with_groups_of_ones_own(lambda model: torch.compile(model, backend="aot_eager"))


def fsdp2_bf16():
    from torch.distributed.fsdp import MixedPrecisionPolicy

    return trained(sharded(mp_policy=MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)))


def fsdp2_checkpoint():
    """Gathered, to be loaded into a model of one process."""
    from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

    p = sharded()
    outcome = trained(p)
    try:
        p.fold()
    except InputError as error:
        outcome["refused"] = str(error)
    options = StateDictOptions(full_state_dict=True, cpu_offload=True)
    return {**outcome, "gathered": get_model_state_dict(p.model, options=options)}


def tensor_parallel():
    from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module

    p = small(**SETTINGS)
    for block in p.model.blocks:
        parallelize_module(
            block, init_device_mesh("cpu", (2,)), {"ffn.up": ColwiseParallel(), "ffn.down": RowwiseParallel()}
        )
    step_through(p.model, p.param_groups)
    return state_of(p.model)


def gradient_still_to_be_summed():
    """As the gradient of a weight that every process holds whole, each with a part of the batch."""
    mesh = init_device_mesh("cpu", (2,))
    gradient = DTensor.from_local(torch.ones(3) * (dist.get_rank() + 1), mesh, [Partial()])
    return {"masked": whole(gradient * cut_like(torch.tensor([True, False, True]), gradient))}


def fsdp1(*, blocks=False, use_orig_params=True, wrap=lambda model: model):
    """The older class, which lays parameters out in a flat one and trains that."""
    from torch.distributed.fsdp import FullyShardedDataParallel
    from torch.distributed.fsdp.wrap import ModuleWrapPolicy

    policy = ModuleWrapPolicy({Block}) if blocks else None
    device = torch.device("cpu")
    model = small(**SETTINGS).model
    model = FullyShardedDataParallel(model, use_orig_params=use_orig_params, auto_wrap_policy=policy, device_id=device)
    step_through(wrap(model), [{"params": list(model.parameters()), "lr": 2.0**-7}], half_of_the_batch(), steps=1)


def fsdp1_by_block():
    fsdp1(blocks=True)


def fsdp1_one_tensor():
    fsdp1(use_orig_params=False)


def fsdp1_compiled():
    fsdp1(wrap=lambda model: torch.compile(model, backend="aot_eager"))


def _process(rank: int, folder: str, scenarios: tuple[str, ...]) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    for name in scenarios:
        try:
            outcome = globals()[name]()
        except Exception as error:
            outcome = {"error": f"{type(error).__name__}: {error}", "traceback": traceback.format_exc()}
        if rank == 0:
            torch.save(outcome, Path(folder) / f"{name}.pt")
        dist.barrier()
    dist.destroy_process_group()


def in_two_processes(folder: Path, *scenarios: str) -> dict[str, dict]:
    """What each scenario of this file came to on the first process."""
    torch.multiprocessing.spawn(_process, (str(folder), scenarios), nprocs=2)
    return {name: torch.load(folder / f"{name}.pt", weights_only=False) for name in scenarios}
