"""The `-full` studies hold the settings of the paper's figures: arXiv 2405.15743 v3, tables 1, 3, 4 and captions."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from hptransfer.drive.load_study import load_study
from hptransfer.drive.plan import make_plan, planned_work
from hptransfer.scaling.build_model import build_model
from hptransfer.study.study import Study
from hptransfer.study.trial import Trial
from hptransfer.tasks.data.sources import open_corpus
from hptransfer.training.build import factory_of, table_of
from hptransfer.training.flops import cost_of
from hptransfer.trials.settled import Settled

ROOT = Path(__file__).resolve().parents[2]
FULL = sorted((ROOT / "sweeps").glob("*-full.yaml"))
SWEPT = None
TFLOPS = {"bf16": 400, "fp32": 27}
"""What an H100 is taken to do a second: 40% of its peak of 989 and 67."""

HPs = tuple[float | None, float | None, float, float]
"""LR, init std, α_input, α_output; what a figure sweeps is `SWEPT`."""


@dataclass(frozen=True)
class Figure:
    """A row of table 4. `seeds` of 1: the caption names none."""

    figures: tuple[int, ...]
    depth: int
    head_size: int
    batch_size: int
    steps: int
    warmup: int
    schedule: str
    seeds: int
    cells: tuple[tuple[int, float], ...]
    hps: dict[str, HPs]


def halved(width: int, times: int) -> tuple[tuple[int, float], ...]:
    return tuple((width, 2.0**-k) for k in range(times, -1, -1))


ISO_PARAMETER = ((768, 1.0), (1088, 1 / 2), (1536, 1 / 4), (2176, 1 / 8))
ISO_WPN = ((256, 1.0), (512, 1 / 2), (1024, 1 / 4), (2048, 1 / 8))
INIT, ALPHAS = 0.08665602, (9.1705, 1.0951835)
FIXED: HPs = (1.62e-2, INIT, *ALPHAS)
LR_SWEPT: HPs = (SWEPT, INIT, *ALPHAS)
INIT_SWEPT: HPs = (1.62e-2, SWEPT, *ALPHAS)

PAPER = {
    "density-lr-full": Figure(
        (1, 6), 2, 64, 128, 1169, 116, "tenth", 3, halved(4096, 6),
        {"sp": (SWEPT, 0.02166, 1, 1), "mup": LR_SWEPT, "supar": LR_SWEPT},
    ),
    "density-init-full": Figure(
        (7,), 2, 64, 8, 100, 0, "constant", 3, halved(4096, 6),
        {"sp": (1.62e-2, SWEPT, 1, 1), "mup": INIT_SWEPT, "supar": INIT_SWEPT},
    ),
    "own-best-full": Figure(
        (8,), 2, 64, 128, 1169, 116, "tenth", 3, halved(4096, 6),
        {"sp": (SWEPT, 0.02166, 1, 1), "mup": LR_SWEPT, "supar": LR_SWEPT},
    ),
    "half-corrections-full": Figure(
        (14,), 2, 64, 128, 1169, 116, "tenth", 3, halved(4096, 6),
        dict.fromkeys(("supar_init_only", "supar_lr_only", "supar"), LR_SWEPT),
    ),
    "half-corrections-init-full": Figure(
        (13,), 2, 64, 8, 100, 0, "constant", 3, halved(4096, 6),
        dict.fromkeys(("supar_init_only", "supar"), INIT_SWEPT),
    ),
    "sparsity-ladder-full": Figure(
        (3,), 10, 64, 504, 11752, 1175, "linear", 1, halved(2048, 7),
        {"sp": (2e-4, 0.02, 1, 1), "mup": FIXED, "supar": FIXED},
    ),
    "coordinate-check-full": Figure(
        (5,), 2, 32, 4, 10, 0, "constant", 10, halved(2048, 4),
        {"sp": (1.68e-2, 0.101, 1, 1), "mup": (1.68e-2, 0.101, 11.22, 1), "supar": (1.68e-2, 0.101, 11.22, 1)},
    ),
    "wider-and-sparser-full": Figure(
        (9,), 2, 64, 128, 1169, 116, "tenth", 3, ISO_PARAMETER,
        {"sp": (SWEPT, 0.02, 1, 1), "mup": LR_SWEPT, "supar": LR_SWEPT},
    ),
    "wider-and-deeper-full": Figure(
        (10,), 10, 64, 256, 1907, 190, "tenth", 1, ISO_PARAMETER,
        {"sp": (6e-4, 0.02, 1, 1), "sp_wide": (2e-4, 0.02, 1, 1), "mup": FIXED, "supar": FIXED},
    ),
    "constant-nonzeros-full": Figure(
        (11,), 2, 64, 128, 1169, 116, "tenth", 3, ISO_WPN, {"sp": (SWEPT, 0.087, 1, 1)}
    ),
}  # fmt: skip

OURS = {
    "few-weights-full": (12, 1024),
    "weight-decay-full": (6, 4096),
    "two-four-full": (6, 4096),
    "schedule-full": (6, 4096),
}
"""Studies that no figure asks for: the figure whose model and schedule they take, and its width."""


def study_of(name: str) -> Study:
    return load_study(ROOT / "sweeps" / f"{name}.yaml")


def settled(study: Study) -> Settled:
    return Settled(study, study.base.hps, "bf16", open_corpus(study.data).fingerprint)


def trials(name: str) -> list[Trial]:
    """One of each rule, in the corner of the grid."""
    study = study_of(name)
    return [settled(study).trial(study.corner, rule=rule, seed=0) for rule in study.grid.rules]


def header(path: Path) -> str:
    """Its comment lines before the first key, as one text."""
    lines = path.read_text(encoding="utf-8").split("\nname:")[0].splitlines()
    return " ".join(line.lstrip("# ") for line in lines)


def test_every_full_study_is_one_of_a_figure_or_says_that_it_is_ours() -> None:
    assert {path.stem for path in FULL} == {*PAPER, *OURS, "width-transfer-full"}


@pytest.mark.parametrize("name", PAPER)
def test_a_study_has_the_sizes_and_the_budget_of_its_figure(name: str) -> None:
    study, said = study_of(name), PAPER[name]
    training = study.training
    assert [(cell.width, cell.density) for cell in study.cells] == list(said.cells)
    assert {cell.depth for cell in study.cells} == {said.depth}
    assert (training.batch_size, training.sequence_length, training.steps) == (said.batch_size, 2048, said.steps)
    assert (round(training.warmup * training.steps), training.schedule) == (said.warmup, said.schedule)
    assert training.optimizer == "adamw"
    assert len(study.grid.seeds) == said.seeds
    assert study.base.width == 256
    assert study.sparsity.kind == "random"


@pytest.mark.parametrize("name", PAPER)
def test_every_rule_has_the_hps_of_table_4(name: str) -> None:
    said, series = PAPER[name].hps, settled(study_of(name)).series()
    assert [one.rule for one in series] == list(said)
    for one in series:
        *expected, alpha_input, alpha_output = said[one.rule]
        hps = one.settled.hps
        assert (hps.alpha_input, hps.alpha_output) == (alpha_input, alpha_output)
        swept = one.settled.swept()
        for axis, value in zip(("lr", "init_std"), expected, strict=True):
            if value is SWEPT:
                assert len(swept[axis]) >= 9
            elif name != "own-best-full" or axis == "lr":
                assert swept[axis] == (value,)
            else:
                assert swept[axis] == (value / 4, value, value * 4)


@pytest.mark.parametrize("name", [*PAPER, *OURS])
def test_the_model_is_the_papers(name: str) -> None:
    """Table 1 and appendix E: GPT-2 with ALiBi and SwiGLU, the embedding read out again, logits Q·K/√d_head under SP
    and Q·K/d_head else; SP multiplies neither embedding nor readout."""
    head_size = PAPER[name].head_size if name in PAPER else 64
    for trial in trials(name):
        model = build_model(factory_of(trial), trial.width, trial.depth, device="meta")
        attention, sp = model.blocks[0].attention, trial.rule.startswith("sp")
        assert (attention.head_size, attention.positions) == (head_size, "alibi")
        assert attention.scale == pytest.approx(head_size**-0.5 if sp else 1 / head_size)
        assert model.blocks[0].ffn.gate is not None
        assert model.readout.weight is model.embed.weight
        assert tuple(model.embed.weight.shape) == (50257, trial.width)
        assert attention.query.bias is not None
        assert model.position is None
        uses = {(row.name, use.role): use.multiplier for row in table_of(trial) for use in row.uses}
        on_input, on_output = uses["embed.weight", "embedding"], uses["embed.weight", "readout"]
        assert on_input == trial.base.alpha_input
        assert on_output == pytest.approx(1 if sp else trial.base.alpha_output * 256 / trial.width)
        assert uses["blocks.0.attention.query.weight", "hidden"] == 1  # no rule scales the logits a second time


@pytest.mark.parametrize("name", OURS)
def test_a_study_of_ours_takes_model_and_schedule_of_the_figure_it_names(name: str) -> None:
    study, (figure, width) = study_of(name), OURS[name]
    like = PAPER["density-lr-full"]  # figure 12 differs from figure 6 in the width alone
    said = header(ROOT / "sweeps" / f"{name}.yaml")
    assert f"no figure asks this; the model and schedule are those of figure {figure} " in said
    assert max(cell.width for cell in study.cells) == width
    assert {cell.depth for cell in study.cells} == {like.depth}
    assert (study.training.batch_size, study.training.steps) == (like.batch_size, like.steps)
    assert round(study.training.warmup * like.steps) == like.warmup
    assert (study.base.lr, study.base.init_std) == (1.62e-2, INIT)
    assert (study.base.alpha_input, study.base.alpha_output) == ALPHAS


def test_the_largest_model_has_the_papers_number_of_parameters() -> None:
    """Section 4.3 trains 12.13B tokens, 20 a parameter."""
    (trial,) = [trial for trial in trials("sparsity-ladder-full") if trial.rule == "supar"]
    assert trial.tokens == pytest.approx(12.13e9, rel=1e-3)
    assert cost_of(trial).params == pytest.approx(trial.tokens / 20, rel=0.003)


def test_the_recipe_of_the_dense_transfer_is_the_public_one() -> None:
    """nanoGPT-mup: a shared embedding, no biases, AdamW's own decay, attention 1/d under μP alone."""
    study = study_of("width-transfer-full")
    training = study.training
    assert [cell.width for cell in study.cells] == [256, 512, 1024, 2048]
    assert (training.batch_size, training.sequence_length, training.steps) == (8, 1024, 122)
    assert (training.schedule, training.warmup, training.decay, training.clip) == ("constant", 0, "coupled", 1)
    assert (training.beta1, training.beta2, training.precision) == (0.9, 0.95, "fp32")
    assert (study.base.width, study.base.init_std, study.base.weight_decay) == (256, 0.02, 0.1)
    assert settled(study).swept()["lr"] == tuple(2.0**k for k in range(-14, -2))
    for trial in trials("width-transfer-full"):
        model = build_model(factory_of(trial), trial.width, trial.depth, device="meta")
        assert model.readout.weight is model.embed.weight
        assert model.blocks[0].attention.query.bias is None
        assert model.blocks[0].attention.scale == (1 / 8 if trial.rule == "sp" else 1 / 64)


@pytest.mark.parametrize("path", FULL, ids=lambda path: path.stem)
def test_the_header_says_the_figure_what_differs_and_the_cost(path: Path) -> None:
    """GPU-hours to two digits: dense FLOPs, for a GPU multiplies masked layers dense."""
    said, study = header(path), study_of(path.stem)
    for figure in PAPER[path.stem].figures if path.stem in PAPER else ():
        assert re.search(rf"Paper: figures?( \d+ and)? {figure}\b", said) or f"figures {figure} and" in said
    assert "Differs: the data" in said
    found = re.search(r"Cost: (\d+) trials, ([\d.]+) GPU-hours as results/README\.md counts them", said)
    assert found is not None
    plan = make_plan(study, planned_work(settled(study), tuned=False))
    hours = plan.flops_dense / (TFLOPS[study.training.precision] * 1e12) / 3600
    assert (int(found[1]), float(found[2])) == (plan.planned, float(f"{hours:.2g}"))


def test_what_a_gpu_hour_is_is_said_where_the_headers_point() -> None:
    text = (ROOT / "results" / "README.md").read_text(encoding="utf-8")
    assert "400 TFLOP/s in bf16 and 27 in fp32, 40% of an H100's peak of 989 and 67" in text
