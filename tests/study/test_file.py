"""Study files: what is read, what is refused and in which words."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hptransfer.common.errors import InputError
from hptransfer.study.file import apply_overrides, dump_study, read_study, with_overrides
from hptransfer.study.study import Study

SWEEPS = Path(__file__).parents[2] / "sweeps"
Load = Callable[..., Study]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Load a study from text."""

    def from_text(text: str | bytes, *overrides: str) -> Study:
        path = tmp_path / "study.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_study(path, overrides)

    return from_text


def refusal(load: Load, text: str | bytes, *overrides: str) -> str:
    with pytest.raises(InputError) as caught:
        load(text, *overrides)
    return str(caught.value)


# --- what is read ----------------------------------------------------------------------------------------------------


def test_a_name_is_enough(load: Load) -> None:
    assert load("name: a") == Study(name="a")


def test_numbers_are_read_as_people_write_them(load: Load) -> None:
    text = "name: a\nbase: {lr: 1e-3, weight_decay: 0, init_std: .05}\n"
    text += "grid: {densities: [1, 1/4, 2^-4], lr: [2**-7, 1E-2]}"
    study = load(text)
    assert (study.base.lr, study.base.weight_decay, study.base.init_std) == (0.001, 0.0, 0.05)
    assert study.grid.densities == (1.0, 0.25, 0.0625)
    assert study.grid.lr == (0.0078125, 0.01)


def test_large_numbers_may_be_grouped(load: Load) -> None:
    assert load("name: a\ndata: {max_bytes: 4_000_000}").data.max_bytes == 4_000_000


def test_a_range_in_octaves_holds_both_ends(load: Load) -> None:
    study = load("name: a\ngrid: {lr: {octaves: [-10, -3], step: 0.5}}")
    assert study.grid.lr is not None
    assert len(study.grid.lr) == 15
    assert (study.grid.lr[0], study.grid.lr[1], study.grid.lr[-1]) == (2**-10, 2**-9.5, 2**-3)


def test_seeds_are_a_number_or_a_list(load: Load) -> None:
    assert load("name: a\ngrid: {seeds: 2}").grid.seeds == (0, 1)
    assert load("name: a\ngrid: {seeds: [7, 9]}").grid.seeds == (7, 9)


def test_words_that_old_yaml_takes_for_other_things_stay_text(load: Load) -> None:
    study = load("name: no\nquestion: 2024-01-01")
    assert (study.name, study.question) == ("no", "2024-01-01")


def test_anchors_and_merges_work(load: Load) -> None:
    study = load(
        "name: a\ntune:\n  space:\n    lr: &x {low: 1, high: 2}\n    init_std: *x\n"
        "    beta2: {<<: *x, low: 0.5, high: 0.9}"
    )
    assert study.tune is not None
    assert study.tune.space["init_std"] == study.tune.space["lr"]
    assert (study.tune.space["beta2"].low, study.tune.space["beta2"].high) == (0.5, 0.9)


def test_overrides_are_applied_in_turn_and_checked_alike(load: Load) -> None:
    study = load(
        "name: a\ngrid: {widths: [32]}", "grid.widths=[64,128]", "tune.trials=5", "base.lr=2^-6", "base.lr=2^-5"
    )
    assert study.grid.widths == (64, 128)
    assert study.tune is not None
    assert study.tune.trials == 5
    assert study.base.lr == 2**-5
    assert load("name: a\ntune: {trials: 3}", "tune=null").tune is None


def test_a_parameters_pattern_is_one_key_whatever_dots_it_has(load: Load) -> None:
    study = load("name: a", "model.roles.blocks.*.out.weight=hidden^T", "model.init.head.weight=zeros")
    assert study.model.roles == {"blocks.*.out.weight": "hidden^T"}
    assert study.model.init == {"head.weight": "zeros"}
    again = with_overrides(study, {"model.roles.head.weight": "readout"})
    assert again.model.roles == {"blocks.*.out.weight": "hidden^T", "head.weight": "readout"}


def test_overrides_leave_the_tree_they_are_given_alone() -> None:
    tree: dict[str, Any] = {"grid": {"widths": [32]}}
    assert apply_overrides(tree, ["grid.widths=[64]", "grid.seeds=1"]) == {"grid": {"widths": [64], "seeds": 1}}
    assert tree == {"grid": {"widths": [32]}}


def test_data_paths_are_taken_from_the_files_folder_and_overrides_from_here(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "corpus.txt").write_bytes(b"x" * 2000)
    assert load("name: a\ndata: {source: text, path: corpus.txt}").data.path == str(tmp_path / "corpus.txt")
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "other.txt").write_bytes(b"x" * 2000)
    monkeypatch.chdir(tmp_path / "here")
    study = load("name: a\ndata: {source: text, path: corpus.txt}", "data.path=other.txt")
    assert study.data.path == str(tmp_path / "here" / "other.txt")


def test_a_study_written_out_reads_back_equal(tmp_path: Path) -> None:
    for sweep in sorted(SWEEPS.glob("*.yaml")):
        study = read_study(sweep)
        (tmp_path / "again.yaml").write_text(dump_study(study))
        assert read_study(tmp_path / "again.yaml") == study


# --- what is refused -------------------------------------------------------------------------------------------------

HEAD = "name: a\n"
BAD: dict[str, tuple[str | bytes, tuple[str, ...]]] = {
    "empty file": ("", ("is not a study", "nothing")),
    "only a comment": ("# nothing\n", ("is not a study",)),
    "a list": ("- name\n- a\n", ("is not a study", "mapping")),
    "a word": ("study", ("is not a study", "'study'")),
    "broken YAML": ("name: [a", ("is not YAML", "line 1")),
    "tab indentation": ("name: a\ngrid:\n\twidths: [64]", ("is not YAML", "line 3")),
    "two documents": ("name: a\n---\nname: b", ("another document",)),
    "not UTF-8": (b"name: \xff\xfe", ("not UTF-8",)),
    "binary": (b"\x7fELF\x02\x01\x01\x00", ("is not YAML",)),
    "Python object": ("name: !!python/object/apply:os.system [id]", ("name", "tag")),
    "date tag": ("name: !!timestamp 2001-99-99", ("name", "tag")),
    "escape beyond Unicode": ('name: "\\U00110000"', ("is not YAML",)),
    "half a surrogate pair": ('name: "\\ud800"', ("name", "surrogate")),
    "duplicate key": ("name: a\nname: b", ("name (line 2)", "twice")),
    "duplicate key below": (HEAD + "grid:\n  seeds: 1\n  seeds: 2", ("grid.seeds (line 4)", "twice")),
    "number as a key": (HEAD + "grid: {1: 2}", ("key must be text",)),
    "alias of itself": (HEAD + "grid: &g {variants: *g}", ("alias",)),
    "nested too deep": ("[" * 10_000, ("nested",)),
    "alias bomb": (
        "a: &a [1,1,1,1,1,1,1,1,1]\n"
        + "".join(f"{b}: &{b} [{','.join(['*' + a] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)),
        ("aliases",),
    ),
    "too many values": ("name: [" + "1," * 30_000 + "]", ("20000 values",)),
    "NaN": (HEAD + "base: {lr: .nan}", ("base.lr (line 2)", "finite")),
    "infinity": (HEAD + "base: {lr: 1e999}", ("base.lr (line 2)", "finite")),
    "NaN as text": (HEAD + "base: {lr: nan}", ("base.lr", "'nan'")),
    "NaN where anything goes": (HEAD + "model: {options: {head_size: .nan}}", ("model.options.head_size", "finite")),
    "endless whole number": (HEAD + "training: {steps: " + "9" * 5000 + "}", ("training.steps", "size")),
    "too large a whole number": (HEAD + "training: {steps: 10000000000}", ("training.steps", "at most")),
    "no name": ("question: why?", ("name: is required",)),
    "name with a slash": ("name: a/b", ("name", "'a/b'", "Name of the study")),
    "number for a name": ("name: 12", ("name", "found 12", "quotes")),
    "unknown section": (HEAD + "gird: {}", ("gird: unknown key", "did you mean 'grid'?", "allowed: name, question")),
    "unknown key": (HEAD + "grid: {width: [64]}", ("grid.width: unknown key", "did you mean 'widths'?")),
    "unknown key in a list": (HEAD + "grid: {cells: [{width: 64, densty: 1}]}", ("grid.cells[0].densty", "'density'")),
    "key one section off": (HEAD + "min_nonzeros: 8", ("unknown key", "did you mean 'grid.min_nonzeros'?")),
    "unknown HP to search": (HEAD + "tune: {space: {lrr: {low: 1, high: 2}}}", ("tune.space.lrr", "mean 'lr'?")),
    "nothing to search": (HEAD + "tune: {space: {}}", ("tune.space", "nothing to search")),
    "a section that is a value": (HEAD + "training: 3", ("training", "found 3", "a section")),
    "text for a whole number": (HEAD + "training: {steps: many}", ("training.steps", "'many'", "whole number")),
    "fraction for a whole number": (HEAD + "training: {steps: 1.5}", ("training.steps", "1.5", "whole number")),
    "truth for a number": (HEAD + "training: {steps: true}", ("training.steps", "True", "whole number")),
    "text for a number": (HEAD + "base: {lr: fast}", ("base.lr", "'fast'", "2^-7")),
    "truth for an LR": (HEAD + "base: {lr: true}", ("base.lr", "must be a number, found True")),
    "LR of zero": (HEAD + "base: {lr: 0}", ("base.lr", "found 0", "above 0")),
    "warm-up of everything": (HEAD + "training: {warmup: 1}", ("training.warmup", "below 1")),
    "unknown choice": (HEAD + "training: {optimizer: adam}", ("training.optimizer", "'adam'", "mean 'adamw'?")),
    "unknown pattern": (HEAD + "sparsity: {kind: 2-4}", ("sparsity.kind", "'2-4'", "n:m")),
    "empty widths": (HEAD + "grid: {widths: []}", ("grid.widths", "is empty", "at least 1")),
    "empty densities": (HEAD + "grid: {densities: []}", ("grid.densities", "is empty")),
    "no seeds": (HEAD + "grid: {seeds: 0}", ("grid.seeds", "found 0")),
    "negative seed": (HEAD + "grid: {seeds: [-1]}", ("grid.seeds[0]", "0 or above")),
    "number for a list": (HEAD + "grid: {widths: 64}", ("grid.widths", "found 64", "a list")),
    "a width twice": (HEAD + "grid: {widths: [64, 64]}", ("grid.widths", "64 is listed twice")),
    "multiplier of zero": (HEAD + "base: {lr_embedding: 0}", ("base.lr_embedding", "found 0", "above 0")),
    "multiplier below zero": (HEAD + "base: {alpha_output: -2}", ("base.alpha_output", "found -2", "above 0")),
    "multiplier range from zero": (
        HEAD + "tune: {space: {lr_readout: {low: 0, high: 1}}}",
        ("tune.space.lr_readout", "above 0"),
    ),
    "density of zero": (HEAD + "grid: {densities: [0]}", ("grid.densities[0]", "found 0", "above 0")),
    "density above one": (HEAD + "grid: {densities: [1, 1.5]}", ("grid.densities", "(0, 1]", "1.5")),
    "density above one in the check": (HEAD + "check: {densities: [1, 2]}", ("check.densities", "(0, 1]", "2")),
    "LR range reversed": (HEAD + "tune: {space: {lr: {low: 0.1, high: 0.01}}}", ("tune.space.lr", "low must be below")),
    "octaves reversed": (HEAD + "grid: {lr: {octaves: [-3, -10]}}", ("grid.lr", "reversed")),
    "octaves without end": (HEAD + "grid: {lr: {octaves: [-3, 3], step: 1e-9}}", ("grid.lr", "too large")),
    "step of zero": (HEAD + "grid: {lr: {octaves: [-3, 3], step: 0}}", ("grid.lr", "step must be above 0")),
    "range of another kind": (HEAD + "grid: {lr: {from: 1, to: 2}}", ("grid.lr", "{octaves: [low, high], step: s}")),
    "LRs twice over": (HEAD + "grid: {lr: [0.1], lr_multiples: [1]}", ("grid", "lr or lr_multiples, not both")),
    "text without a path": (HEAD + "data: {source: text}", ("data", "needs a path")),
    "tokens without a vocabulary": (HEAD + "data: {source: tokens, path: t.bin}", ("data", "needs vocab_size")),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_file_is_refused_by_one_message_that_names_file_and_field(load: Load, kind: str) -> None:
    text, words = BAD[kind]
    message = refusal(load, text)
    assert "study.yaml" in message
    assert "\n" not in message
    assert "Traceback" not in message
    for word in words:
        assert word in message, message


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.yaml: no such file"):
        read_study(tmp_path / "gone.yaml")
    with pytest.raises(InputError, match="is not a file"):
        read_study(tmp_path)
    with pytest.raises(InputError, match="is not a file"):
        read_study("/dev/zero")
    with pytest.raises(InputError, match="no such file"):
        read_study("a\0b")
    with pytest.raises(InputError, match="cannot be read"):
        read_study("x" * 5000)


def test_a_huge_file_is_refused_unread(tmp_path: Path) -> None:
    huge = tmp_path / "huge.yaml"
    with open(huge, "wb") as file:
        file.truncate(100 * 2**20)
    with pytest.raises(InputError, match=r"104,857,600 bytes.*at most 1,000,000 bytes"):
        read_study(huge)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_without_leave_to_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "locked.yaml"
    path.write_text("name: a")
    path.chmod(0)
    with pytest.raises(InputError, match="cannot be read"):
        read_study(path)


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("grid.widths", "dotted.key=value"),
        ("=3", "dotted.key=value"),
        ("grid..widths=3", "dotted.key=value"),
        ("grid.width=[64]", "--set grid.width: unknown key"),
        ("grid.widths=[64", "--set grid.widths: is not YAML"),
        ("grid.widths=[-64]", "--set grid.widths[0]: is out of range"),
        ("model.init.head.weight=zero", "--set model.init.head.weight"),
        ("name.first=a", "'name' is a value, not a section"),
        ("base.lr=.nan", "--set base.lr"),
    ],
)
def test_a_bad_override_is_refused_by_its_name(load: Load, override: str, words: str) -> None:
    assert words in refusal(load, "name: a", override)


def test_settings_are_changed_by_dotted_keys_and_validated_anew() -> None:
    study = Study(name="a")
    assert with_overrides(study, {"training.steps": 3, "base.lr": "2^-6"}).base.lr == 2**-6
    assert with_overrides(study, {}) is study
    with pytest.raises(InputError, match=r"training\.steps: is out of range"):
        with_overrides(study, {"training.steps": 0})
    with pytest.raises(InputError, match=r"nowhere\.steps: no such setting"):
        with_overrides(study, {"nowhere.steps": 1})
