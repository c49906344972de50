"""FLOPs and sizes, counted by hand for a two-block GPT of width 16 on sequences of 8."""

from __future__ import annotations

from small_trials import small_trial

from hptransfer.study.pieces import ModelSpec
from hptransfer.training.flops import cost_of

BUDGET = {"steps": 3, "batch_size": 2, "sequence_length": 8}
MATRICES = 2 * 12 * 16 * 16
READOUT = 64 * 16
LOOKED_UP = 64 * 16 + 8 * 16
NORMS = 5 * 16
ATTENTION = 4 * 8 * (2 * 16)


def test_dense_cost() -> None:
    cost = cost_of(small_trial(width=16, density=1.0, training=BUDGET))
    assert cost.tokens == 48
    assert cost.params == cost.params_nonzero == MATRICES + READOUT + LOOKED_UP + NORMS
    assert cost.flops_dense == cost.flops_nonzero == 3 * (2 * (MATRICES + READOUT) + ATTENTION) * 48


def test_zeros_are_left_out_of_the_second_count() -> None:
    cost = cost_of(small_trial(width=16, density=0.25, training=BUDGET))
    assert cost.params_nonzero == MATRICES // 4 + READOUT + LOOKED_UP + NORMS
    assert cost.flops_nonzero == 3 * (2 * (MATRICES // 4 + READOUT) + ATTENTION) * 48
    assert cost.flops_dense == 3 * (2 * (MATRICES + READOUT) + ATTENTION) * 48


def test_a_tied_readout_is_a_product_though_it_is_an_embedding() -> None:
    tied = ModelSpec(options={"head_size": 8, "tied": True})
    cost = cost_of(small_trial(width=16, density=1.0, training=BUDGET, model=tied))
    assert cost.params == MATRICES + LOOKED_UP + NORMS
    assert cost.flops_dense == 3 * (2 * (MATRICES + READOUT) + ATTENTION) * 48


def test_memory_grows_with_width_and_batch_and_shrinks_with_micro_batches() -> None:
    small = cost_of(small_trial(width=16)).memory_bytes()
    assert cost_of(small_trial(width=64)).memory_bytes() > 3 * small
    large = cost_of(small_trial(width=16, training={"batch_size": 64}))
    assert large.memory_bytes() > 3 * small
    assert large.memory_bytes(16) == small


def test_fused_attention_keeps_no_pairs_of_places() -> None:
    def activations(length: int) -> int:
        return cost_of(small_trial(width=16, training={"sequence_length": length, "batch_size": 1})).activation_bytes

    assert activations(512) > 2 * activations(256)
    assert activations(2048) == 2 * activations(1024)
