"""What a rule did to each tensor, for people and for other trainers."""

import json
from dataclasses import replace
from functools import partial

import pytest
import torch
import yaml
from own_inits import designed

from hptransfer.common.errors import InputError
from hptransfer.scaling.explain import cautions, explain_rows, explain_text, export_text
from hptransfer.scaling.parametrize import parametrize, parametrize_target
from hptransfer.scaling.rules import get_rule
from hptransfer.scaling.target import Target
from hptransfer.study.base import BaseHPs
from hptransfer.study.pieces import SparsitySpec
from hptransfer.tasks.models.gpt import GPT

BASE = BaseHPs(alpha_input=3.0)


def target(width=128, density=0.25, **options):
    build = partial(GPT, head_size=16, vocab_size=32, context=16, **options)
    return Target(
        build=build,
        width=width,
        base_width=32,
        rule=get_rule("supar"),
        depth=2,
        base_depth=2,
        density=density,
        base=BASE,
    )


def test_a_row_says_everything_and_which_cell_said_so():
    rows = {row["name"]: row for row in explain_rows(target())}
    row = rows["blocks.1.ffn.up.weight"]
    promised = "name role shape density init_std lr weight_decay eps multiplier source"
    places = ("multiplier_at", "multiplier_module", "multiplier_rows", "multiplier_outputs")
    assert list(row) == [*promised.split(), "init", "lr_scale", *places]
    assert row["shape"] == [512, 128]
    assert (row["role"], row["density"], row["lr_scale"]) == ("hidden", 0.25, 1.0)
    assert "supar/adamw hidden" in row["source"]
    assert "lr: width^-1 density^-1" in row["source"]
    assert "init_std: width^-1/2 density^-1/2" in row["source"]
    assert rows["norm.weight"]["init_std"] is None
    assert rows["norm.weight"]["init"] == "ones"


def test_a_tied_readout_is_shown_with_its_multiplier():
    rows = {row["name"]: row for row in explain_rows(target(tied=True))}
    assert rows["readout.weight"]["multiplier"] == 0.25
    assert rows["readout.weight"]["source"].startswith("shared with embed.weight")


def test_the_text_folds_equal_layers_together():
    text = explain_text(explain_rows(target()))
    assert "blocks.*.ffn.up.weight (2)" in text
    assert "blocks.0" not in text
    assert "0.25 on input" in text


@pytest.mark.parametrize("width", [40, 80, 120, 160, 200])
def test_a_narrow_terminal_loses_neither_digits_nor_reasons(width):
    rows = explain_rows(target(density=1 / 128))
    text = " ".join(explain_text(rows, width=width).split())
    for row in rows:
        assert f"{row['lr']:.4g}" in text
        assert f"{row['weight_decay']:.4g}" in text
        assert "×".join(map(str, row["shape"])) in text
    assert "supar/adamw hidden" in text


def test_cautions_name_tensors_that_will_lose_outputs():
    (first, *_) = cautions(target(density=1 / 128))
    assert first.startswith("blocks.0.attention.query.weight: about 47 of 128 outputs")
    assert cautions(target(density=0.25)) == []


@pytest.mark.parametrize(("form", "load"), [("json", json.loads), ("yaml", yaml.safe_load)])
def test_export_is_the_same_table(form, load):
    rows = explain_rows(target())
    assert load(export_text(rows, form)) == rows


def test_a_tuned_lr_multiplier_is_in_the_lr_and_told():
    tuned = replace(target(), base=BASE.model_copy(update={"lr_embedding": 4.0}))
    rows, plain = ({row["name"]: row for row in explain_rows(t)} for t in (tuned, target()))
    assert rows["embed.weight"]["lr"] == 4 * plain["embed.weight"]["lr"]
    assert rows["embed.weight"]["source"].endswith("times lr_embedding 4")
    assert {n for n in rows if rows[n] != plain[n]} == {"embed.weight", "position.weight"}


@pytest.mark.parametrize("tied", [True, False])
def test_the_snippet_does_what_we_do(tied):
    """Run it on the plain model: same groups, same multipliers, and init and masks of the same size."""
    base = BASE.model_copy(update={"lr_embedding": 4.0, "lr_vector": 0.5})
    chosen = replace(target(tied=tied), base=base)
    names: dict = {}
    exec(export_text(explain_rows(chosen), "python"), names)
    model = chosen.build(width=128, depth=2)
    names["initialise"](model, seed=1)
    names["attach_multipliers"](model)
    p = parametrize(chosen.build, width=128, base_width=32, depth=2, density=0.25, base=base)
    ours = {n: g for g in p.param_groups for n in g["tensors"]}
    theirs = {g["name"]: g for g in names["param_groups"](model)}
    assert ours.keys() == theirs.keys()
    for name, group in theirs.items():
        assert {k: group[k] for k in ("lr", "lr_scale", "weight_decay", "eps")} == pytest.approx(
            {k: ours[name][k] for k in ("lr", "lr_scale", "weight_decay", "eps")}
        )
    up = model.blocks[0].ffn.up.weight.detach()
    assert int((up != 0).sum()) == up.numel() // 4
    assert float(up[up != 0].std()) == pytest.approx(0.05, rel=0.03)
    model.load_state_dict(p.model.state_dict(), strict=False)
    tokens = torch.arange(16).view(2, 8)
    assert torch.allclose(model(tokens), p.model(tokens), atol=1e-6)
    torch.optim.AdamW(names["param_groups"](model))


def test_an_unknown_format_is_refused():
    with pytest.raises(InputError, match="json, yaml, python"):
        export_text(explain_rows(target()), "toml")


def test_rows_of_other_masks():
    chosen = Target(**{**target(density=0.5).__dict__, "sparsity": SparsitySpec(kind="2:4")})
    assert {row["density"] for row in explain_rows(chosen)} == {1.0, 0.5}


def own_init(density=1.0):
    init = {"up.weight": "rescale", "readout.weight": "zeros"}
    return Target(build=designed, width=128, base_width=32, rule=get_rule("supar"), density=density, init=init)


def test_a_factorys_init_is_told_with_the_size_it_is_given():
    """An orthogonal matrix of width 32 has entries of 32^−½; half of that at four times the width."""
    rows = {row["name"]: row for row in explain_rows(own_init(density=1 / 4))}
    assert rows["up.weight"]["init"] == "rescaled"
    assert rows["up.weight"]["init_std"] == pytest.approx(32**-0.5 / 2 * 2)
    because = "init: as the factory built it, its size at the base width times width^-1/2 density^-1/2"
    assert because in rows["up.weight"]["source"]
    assert "init_std" not in rows["up.weight"]["source"]
    assert (rows["readout.weight"]["init"], rows["readout.weight"]["init_std"]) == ("zeros", None)
    assert "init: as the factory built it" in rows["norm.weight"]["source"]
    assert "rescaled 0.1768" in explain_text(explain_rows(own_init(density=1 / 4)))


def test_the_snippet_starts_from_the_factorys_values_where_we_do():
    snippet = {}
    exec(export_text(explain_rows(own_init()), "python"), snippet)  # its own namespace, as a module would be
    torch.manual_seed(0)
    model = designed(128)
    snippet["initialise"](model)
    ours = parametrize_target(own_init(), 0).model
    for name in ("up.weight", "readout.weight", "norm.weight", "up.bias"):
        assert torch.allclose(model.get_parameter(name), ours.get_parameter(name), rtol=1e-6)


def test_a_caution_names_what_of_the_factory_is_lost():
    said = cautions(replace(own_init(), init={}))
    assert any("up.weight (orthogonal), readout.weight (zeros)" in line for line in said)
    assert cautions(own_init()) == []
