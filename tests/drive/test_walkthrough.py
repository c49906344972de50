"""A new user's first ten minutes: a model file and a text file of their own, the installed command, a training loop.

One story in order, each step a process of the installed entry point in a folder outside the repository; the study is
the one `init` writes, made tiny by `--set` as a user would.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

HPTRANSFER = str(Path(sys.executable).with_name("hptransfer"))

MODEL = """\
import torch
from torch import nn


class Mixer(nn.Module):
    def __init__(self, width, depth, vocab_size):
        super().__init__()
        self.tokens = nn.Embedding(vocab_size, width)
        self.up = nn.ModuleList(nn.Linear(width, 2 * width) for _ in range(depth))
        self.down = nn.ModuleList(nn.Linear(2 * width, width) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocab_size, bias=False)

    def forward(self, tokens):
        x = self.tokens(tokens)
        for up, down in zip(self.up, self.down):
            x = x + down(torch.relu(up(x)))
        return self.head(self.norm(x))


def build(width, depth=2, vocab_size=256):
    return Mixer(width, depth, vocab_size)
"""

LOOP = """\
import json
import torch
from hptransfer import BaseHPs, parametrize
from my_model import build

found = json.load(open("results/first/base.json"))
base = BaseHPs(lr=found["lr"], init_std=found["init_std"], weight_decay=found["weight_decay"])
scaled = parametrize(build, width=64, base_width=16, rule="supar", density=1 / 4, base=base)
optimizer = torch.optim.AdamW(scaled.param_groups, betas=(0.9, 0.95))
model = scaled.model

text = torch.frombuffer(bytearray(open("notes.txt", "rb").read()), dtype=torch.uint8).long()
batch = text[: 8 * 33].view(8, 33)
losses = []
for _ in range(30):
    logits = model(batch[:, :-1])
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten())
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
weight = model.up[0].weight
print(json.dumps({"first": losses[0], "last": losses[-1], "density": (weight != 0).float().mean().item()}))
"""

EXPORTED_LOOP = """\
from target import attach_multipliers, initialise, param_groups

model = build(width=64)
initialise(model)
attach_multipliers(model)
optimizer = torch.optim.AdamW(param_groups(model))
print(json.dumps({"density": (model.up[0].weight != 0).float().mean().item(), "groups": len(optimizer.param_groups)}))
"""

SMALL = [
    *("base.width=16", "training.steps=20", "training.batch_size=4", "training.sequence_length=16"),
    *("training.eval_tokens=128", "tune.trials=4", "tune.finalists=1", "grid.rules=[sp,supar]", "grid.widths=[16,64]"),
    *("grid.densities=[1,1/4]", "grid.min_nonzeros=1", "grid.lr_multiples={octaves: [-2, 2]}", "grid.seeds=2"),
    *("check.widths=[32,128]", "check.steps=2", "check.seeds=2"),
]
SET = [word for setting in SMALL for word in ("--set", setting)]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of the user's own."""
    folder = tmp_path_factory.mktemp("home")
    (folder / "my_model.py").write_text(MODEL)
    (folder / "notes.txt").write_text(
        "It was the best of times, it was the worst of times, it was the age of wisdom.\n" * 60
    )
    return folder


def run(home: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """One command in the user's folder, with no terminal to ask."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        command, cwd=home, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300
    )


@pytest.mark.slow
def test_a_new_user_gets_from_their_model_and_text_to_a_verdict_and_back_to_their_trainer(home: Path) -> None:
    def hptransfer(*arguments: str, status: int = 0) -> str:
        done = run(home, HPTRANSFER, *arguments)
        assert done.returncode == status, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout

    # Next steps are named where one stands.
    said = hptransfer("init", "first.yaml", "--factory", "my_model:build", "--text", "notes.txt")
    assert "Next: hptransfer plan first.yaml" in said

    # Nothing has run, and the plan says what would.
    plan = json.loads(hptransfer("plan", "first.yaml", *SET, "--no-calibrate", "--json"))
    grid = 2 * (2 * 2) * 5 * 2  # rules × cells × LRs × seeds
    assert (plan["stored"], plan["failed"]) == (0, 0)
    assert plan["planned"] > grid
    assert not (home / "results").exists()

    # Every tensor has the role that its author had in mind, and what density does to it: σ/√(m·ρ), η/(m·ρ).
    rows = {row["name"]: row for row in json.loads(hptransfer("explain", "first.yaml", *SET, "--json"))}
    assert {name: row["role"] for name, row in rows.items() if "weight" in name} == {
        "tokens.weight": "embedding",
        "up.0.weight": "hidden",
        "up.1.weight": "hidden",
        "down.0.weight": "residual",
        "down.1.weight": "residual",
        "norm.weight": "vector",
        "head.weight": "readout",
    }
    assert rows["up.0.weight"]["init_std"] == pytest.approx(0.05 / (4 * 1 / 4) ** 0.5)
    assert rows["up.0.weight"]["lr"] == pytest.approx(2**-7 / (4 * 1 / 4))

    said = run(home, HPTRANSFER, "check", "first.yaml", *SET)
    assert said.returncode in (0, 1), said.stderr
    assert "Coordinate check: supar" in said.stdout
    assert (home / "results/first/plots/check-width.png").exists()

    said = hptransfer("run", "first.yaml", *SET, "--executor", "local", "--no-compile", "--no-check")
    assert "Report: " in said
    assert "Next:   hptransfer verdict " in said
    frame = pd.concat(map(pd.read_parquet, (home / "results/first/trials").glob("*.parquet")))
    assert frame["trial_id"].is_unique
    assert len(frame) <= plan["planned"]
    assert set(frame["status"]) == {"ok"}
    assert (home / "results/first/report.html").stat().st_size > 10_000

    # So short a run settles nothing, and the verdict says that and not something else.
    verdicts = json.loads(run(home, HPTRANSFER, "verdict", "results/first", "--json").stdout)
    assert {(v["rule"], v["axis"]) for v in verdicts} == {(r, a) for r in ("sp", "supar") for a in ("density", "width")}
    assert all(v["why"] for v in verdicts)

    # Back to a trainer of one's own: in five lines, or without this package.
    target = ["--width", "64", "--density", "1/4", "--format", "python", "--output", "target.py"]
    assert hptransfer("export", "first.yaml", *SET, *target) == "Wrote target.py.\n"
    done = run(home, sys.executable, "-c", LOOP + EXPORTED_LOOP)
    assert done.returncode == 0, done.stderr
    trained, exported = map(json.loads, done.stdout.splitlines())
    assert trained["last"] < trained["first"] - 0.5
    assert trained["density"] == pytest.approx(1 / 4, abs=1e-3)
    assert exported["density"] == pytest.approx(1 / 4, abs=1e-3)
