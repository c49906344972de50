"""Trials: what the id depends on and what it does not; packs and their halves."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hptransfer.study.trial
from hptransfer.execute.pack import Pack
from hptransfer.study.pieces import DataSpec, ModelSpec
from hptransfer.study.trial import READING_VERSION, Trial
from hptransfer.tasks.data.sources import open_corpus

TRIAL = Trial(
    model=ModelSpec(
        options={"head_size": 32, "norm": "rms"},
        roles={"a.*": "hidden", "*": "vector"},
        init={"a.*": "built", "*": "rescale"},
    ),
    data_id="f00d",
    rule_digest="cafe",
)


def tree() -> dict[str, Any]:
    """A fresh copy of the trial as plain values."""
    plain: dict[str, Any] = json.loads(TRIAL.model_dump_json())
    return plain


def reordered(value: Any, dice: st.DataObject) -> Any:
    if not isinstance(value, dict):
        return value
    keys = dice.draw(st.permutations(list(value)))
    return {key: value[key] if key in ("roles", "init") else reordered(value[key], dice) for key in keys}


@settings(max_examples=30)
@given(dice=st.data())
def test_the_id_does_not_depend_on_the_order_of_keys(dice: st.DataObject) -> None:
    assert Trial.model_validate_json(json.dumps(reordered(tree(), dice))).id == TRIAL.id


@pytest.mark.parametrize("name", ["lr_embedding", "lr_readout", "lr_vector"])
def test_a_lr_multiplier_of_one_is_as_if_it_were_not_there(name: str) -> None:
    assert name not in TRIAL.canonical()["base"]
    tuned = TRIAL.model_copy(update={"base": TRIAL.base.model_copy(update={name: 2.0})})
    assert tuned.canonical()["base"][name] == 2.0
    assert tuned.id != TRIAL.id


def test_the_id_does_depend_on_the_order_of_role_patterns_as_the_first_match_wins() -> None:
    roles = dict(reversed(TRIAL.model.roles.items()))
    assert TRIAL.model_copy(update={"model": TRIAL.model.model_copy(update={"roles": roles})}).id != TRIAL.id


def test_so_does_it_of_init_patterns_and_a_trial_without_them_has_the_id_it_always_had() -> None:
    def with_init(init: dict[str, Any]) -> Trial:
        return TRIAL.model_copy(update={"model": TRIAL.model.model_copy(update={"init": init})})

    assert with_init(dict(reversed(TRIAL.model.init.items()))).id != TRIAL.id
    assert "init" not in with_init({}).canonical()["model"]
    assert with_init({}).shape_key == TRIAL.shape_key  # the init is data to a program


def test_the_id_does_not_depend_on_label_rule_text_or_where_the_data_lies(tmp_path: Path) -> None:
    ids = set()
    for folder in ("here", "there"):
        path = tmp_path / folder / "corpus.txt"
        path.parent.mkdir()
        path.write_bytes(b"the same tokens " * 100)
        spec = DataSpec(source="text", path=str(path))
        changes = {
            "data": spec,
            "data_id": open_corpus(spec).fingerprint,
            "variant": folder,
            "rule_table": {"a": folder},
        }
        ids.add(TRIAL.model_copy(update=changes).id)
    assert len(ids) == 1


def test_without_a_fingerprint_the_path_is_all_there_is_to_tell_data_apart() -> None:
    one, two = (Trial(data=DataSpec(source="text", path=path)).id for path in ("a.txt", "b.txt"))
    assert one != two


def test_another_process_on_another_hash_seed_gives_the_same_id() -> None:
    program = (
        "import sys; from hptransfer.study.trial import Trial; print(Trial.model_validate_json(sys.stdin.read()).id)"
    )
    for seed in ("1", "2"):
        told = subprocess.run(
            [sys.executable, "-c", program],
            input=TRIAL.model_dump_json(),
            capture_output=True,
            text=True,
            check=True,
            cwd="/",
            env={"PYTHONHASHSEED": seed, "HOME": "/nowhere"},
        )
        assert told.stdout.strip() == TRIAL.id


def numbers() -> list[tuple[str, ...]]:
    """The path of every value in a trial that may change its numbers."""
    found: list[tuple[str, ...]] = []

    def walk(node: dict[str, Any], path: tuple[str, ...]) -> None:
        for key, value in node.items():
            if isinstance(value, dict) and key not in ("options", "roles", "init", "axes", "versions"):
                walk(value, (*path, key))
            else:
                found.append((*path, key))

    walk(tree(), ())
    return [path for path in found if path[0] not in ("variant", "rule_table", "data")]


CHOICES = {
    "task": "mine:Task",
    "trainer": "mine:train",
    "method": "mine:Method",
    "factory": "mlp",
    "options": {"head_size": 16},
    "axes": {"mine:Dropout": 0.1},
    "versions": {"mine:Task": "2"},
    "roles": {},
    "init": {},
    "queries": [],
    "optimizer": "sgd",
    "decay": "coupled",
    "schedule": "wsd",
    "precision": "bf16",
    "kind": "row",
    "distribution": "erk",
    "layers": ["*"],
    "dense": ["*"],
    "data_seed": 5,
}


@pytest.mark.parametrize("path", numbers(), ids=".".join)
def test_the_id_changes_with_everything_that_changes_the_numbers(path: tuple[str, ...]) -> None:
    changed = tree()
    node = changed
    for key in path[:-1]:
        node = node[key]
    last, old = path[-1], node[path[-1]]
    if last in CHOICES:
        node[last] = CHOICES[last]
    elif isinstance(old, str):
        node[last] = old + "x"
    else:
        node[last] = old / 2 if isinstance(old, float) else old + 1
    assert Trial.model_validate_json(json.dumps(changed)).id != TRIAL.id


@settings(max_examples=100)
@given(lr=st.floats(1e-12, 1e3), seed=st.integers(0, 2**62))
def test_the_id_tells_the_closest_numbers_apart(lr: float, seed: int) -> None:
    def named(lr: float, seed: int) -> str:
        return TRIAL.model_copy(update={"base": TRIAL.base.model_copy(update={"lr": lr}), "seed": seed}).id

    ids = {named(lr, seed), named(lr * (1 + 2**-51), seed), named(lr, seed + 1)}
    assert len(ids) == 3


def test_a_new_numerics_version_makes_every_trial_a_new_one(monkeypatch: pytest.MonkeyPatch) -> None:
    before = TRIAL.model_copy().id
    monkeypatch.setattr(hptransfer.study.trial, "NUMERICS_VERSION", hptransfer.study.trial.NUMERICS_VERSION + 1)
    assert TRIAL.model_copy(update={"variant": "new"}).id != before


def test_an_id_is_twenty_hexadecimal_digits_and_survives_the_way_to_a_worker() -> None:
    assert len(TRIAL.id) == 20
    assert int(TRIAL.id, 16) >= 0
    assert Trial.model_validate_json(TRIAL.model_dump_json()) == TRIAL


def test_batches_follow_the_trials_seed_unless_the_study_fixes_theirs() -> None:
    assert Trial(seed=7).data_seed == 7
    fixed = TRIAL.training.model_copy(update={"data_seed": 3})
    assert Trial(seed=7, training=fixed).data_seed == 3


def test_how_a_model_from_outside_is_read_is_part_of_its_id(monkeypatch: pytest.MonkeyPatch) -> None:
    def ids() -> list[str]:
        return [Trial(model=ModelSpec(factory=name)).id for name in ("my_models:build", "gpt")]

    own, shipped = ids()
    monkeypatch.setattr("hptransfer.study.trial.READING_VERSION", READING_VERSION + 1)
    assert ids()[0] != own
    assert ids()[1] == shipped


def test_tokens_are_steps_times_batch_times_length() -> None:
    assert Trial().tokens == 200 * 16 * 64


def test_what_is_data_to_the_program_does_not_change_its_shape() -> None:
    hps = TRIAL.base.model_copy(update={"lr": 0.5, "init_std": 0.3})
    other = TRIAL.model_copy(update={"base": hps, "seed": 9, "rule": "mup", "rule_digest": "beef", "variant": "v"})
    assert other.shape_key == TRIAL.shape_key
    assert TRIAL.model_copy(update={"width": 128}).shape_key != TRIAL.shape_key
    assert TRIAL.model_copy(update={"density": 0.5}).shape_key != TRIAL.shape_key


def seeds(count: int) -> tuple[Trial, ...]:
    return tuple(TRIAL.model_copy(update={"seed": seed}) for seed in range(count))


def test_a_pack_holds_one_shape_only() -> None:
    Pack("grid", seeds(3))
    with pytest.raises(ValueError, match="one shape"):
        Pack("grid", (TRIAL, TRIAL.model_copy(update={"width": 128})))
    with pytest.raises(ValueError, match="at least one"):
        Pack("grid", ())


def test_halves_keep_every_trial_and_share_the_cost() -> None:
    first, second = Pack("grid", seeds(5), cost=10.0).halves()
    assert first.trials + second.trials == seeds(5)
    assert (first.cost, second.cost) == (4.0, 6.0)
    (alone,) = Pack("grid", seeds(1)).halves()
    assert alone.trials == seeds(1)
