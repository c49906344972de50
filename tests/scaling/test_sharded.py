"""Two gloo processes: the density holds to the bit, and the weights are those of a single process."""

import pytest
import torch
from small_gpt import TOKENS, small
from two_processes import SETTINGS, in_two_processes, state_of, step_through

from hptransfer.scaling.sharded import cut_like, is_sharded, local_part

EQUAL_TO_ONE_PROCESS = (
    "ddp",
    "ddp_without_broadcasts",
    "fsdp2",
    "fsdp2_at_once",
    "fsdp2_checkpoint",
    "tensor_parallel",
)
REFUSED = ("fsdp1", "fsdp1_by_block", "fsdp1_one_tensor", "fsdp1_compiled")
ALSO_SPARSE = ("fsdp2_with_groups_of_ones_own", "fsdp2_compiled_with_groups_of_ones_own", "fsdp2_bf16")

OTHERS = ("gradient_still_to_be_summed",)


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """One start of two processes for all, since the start is what is slow."""
    return in_two_processes(tmp_path_factory.mktemp("two"), *EQUAL_TO_ONE_PROCESS, *ALSO_SPARSE, *REFUSED, *OTHERS)


@pytest.fixture(scope="module")
def alone():
    p = small(**SETTINGS)
    step_through(p.model, p.param_groups)
    return state_of(p.model)


@pytest.mark.slow
@pytest.mark.parametrize("scenario", [*EQUAL_TO_ONE_PROCESS, *ALSO_SPARSE])
def test_every_hidden_weight_is_zero_and_every_other_is_not(outcomes, alone, scenario):
    outcome = outcomes[scenario]
    assert "error" not in outcome, outcome["traceback"]
    assert len(alone["masks"]) == 12
    for name, mask in alone["masks"].items():
        assert torch.equal(outcome["masks"][name], mask)
        assert torch.equal(outcome["weights"][name] != 0, mask), name
        assert float((outcome["weights"][name] != 0).float().mean()) == 0.25


@pytest.mark.slow
@pytest.mark.parametrize("scenario", EQUAL_TO_ONE_PROCESS)
def test_the_weights_are_those_of_a_single_process(outcomes, alone, scenario):
    started = small(**SETTINGS).model
    for name, expected in alone["weights"].items():
        assert torch.allclose(outcomes[scenario]["weights"][name], expected, atol=1e-4), name
        assert not torch.equal(expected, started.get_parameter(name))


@pytest.mark.slow
def test_a_sharded_model_is_gathered_and_then_folded(outcomes, alone):
    outcome = outcomes["fsdp2_checkpoint"]
    assert "a sharded model cannot be folded" in outcome["refused"]
    assert "full_state_dict=True" in outcome["refused"]
    p = small(**SETTINGS, seed=1)
    p.model.load_state_dict(outcome["gathered"])
    assert torch.allclose(p.fold()(TOKENS[:, :-1]), p.model(TOKENS[:, :-1]), atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("scenario", REFUSED)
def test_what_trains_one_flat_tensor_is_refused_in_words_at_once(outcomes, scenario):
    error = outcomes[scenario]["error"]
    assert error.startswith("InputError: blocks.0")
    assert "attention.query.weight: what trains this model does not see its masks" in error
    assert "use fully_shard in place of FullyShardedDataParallel" in error


@pytest.mark.slow
def test_each_summand_of_a_gradient_is_masked(outcomes):
    assert outcomes["gradient_still_to_be_summed"]["masked"].tolist() == [3, 0, 3]


def test_a_tensor_that_is_not_sharded_is_given_the_mask_itself():
    mask = torch.tensor([True, False])
    assert cut_like(mask, torch.zeros(2)) is mask
    assert local_part(mask) is mask
    assert not is_sharded(torch.nn.Parameter(torch.zeros(2)))
