"""What of a search is settled before its first trial."""

from __future__ import annotations

import math
from collections.abc import Callable

from hptransfer.study.study import Study
from hptransfer.trials.proxy.proxy import Proxy
from hptransfer.trials.settled import Settled

Make = Callable[..., Study]


def proxy(study: Study) -> Proxy:
    return Proxy(Settled(study, study.base.hps, "fp32", "d"))


def test_seeds_lie_above_every_seed_of_the_grid_and_another_search_has_others(make_study: Make) -> None:
    assert proxy(make_study()).seed == 100_000
    assert proxy(make_study(grid={"seeds": [250_000]})).seed == 300_000
    assert proxy(make_study(tune={"seed": 2})).seed == 100_000 + 2 * (1 + 3)


def test_a_search_has_its_trials_and_its_finalists(make_study: Make) -> None:
    assert proxy(make_study()).planned == 24 + 3 * 3
    assert proxy(make_study(tune={"sampler": "grid", "trials": 2})).planned == 2 + 2 * 3


def test_a_point_becomes_a_dense_trial_of_the_proxys_size(make_study: Make) -> None:
    trial = proxy(make_study(tune={"steps": 3})).trial({"lr": 0.5, "warmup": 0.25}, seed=9, width=16)
    assert (trial.width, trial.density, trial.depth, trial.rule, trial.seed) == (16, 1.0, 2, "supar", 9)
    assert (trial.base.lr, trial.training.warmup, trial.training.steps) == (0.5, 0.25, 3)


def test_a_diverged_run_is_told_as_a_uniform_guess(make_study: Make) -> None:
    assert proxy(make_study()).ceiling == math.log(64)


def test_a_task_that_knows_no_such_loss_tells_nothing(make_study: Make, tmp_path, monkeypatch) -> None:
    (tmp_path / "odd_task.py").write_text(
        "from hptransfer.tasks.language import Language\n"
        "class Odd(Language):\n    def chance(self, data):\n        return float('nan')\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert proxy(make_study(task="odd_task:Odd")).ceiling == math.inf


def test_the_digest_knows_what_decides_the_search_and_nothing_else(make_study: Make) -> None:
    plain = proxy(make_study()).digest
    assert proxy(make_study(question="why?")).digest == plain
    assert proxy(make_study(grid={"widths": [32], "seeds": [0]})).digest == plain
    assert proxy(make_study(task="language", trainer="packs")).digest == plain
    changed = [make_study(tune={"trials": 25}), make_study(base={"width": 64}), make_study(trainer="json:dumps")]
    assert len({plain, *(proxy(study).digest for study in changed)}) == 4


def test_the_order_of_patterns_decides_a_search_for_the_first_that_matches_counts(make_study: Make) -> None:
    def digest(**model: object) -> str:
        return proxy(make_study(model=model)).digest

    for key, one, other in (("roles", "hidden", "residual"), ("init", "built", "zeros")):
        orders = [{"*.up.*": one, "*": other}, {"*": other, "*.up.*": one}]
        assert digest(**{key: orders[0]}) != digest(**{key: orders[1]}), key
