"""A study that is read and known to fit together: whatever a file holds, a study or an `InputError` comes out."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from hptransfer.common.errors import InputError
from hptransfer.drive.load_study import load_study
from hptransfer.study.file import dump_study
from hptransfer.study.strict_yaml import write_yaml
from hptransfer.study.study import Study
from hptransfer.trials.checks import study_warnings

SWEEPS = Path(__file__).parents[2] / "sweeps"


def test_a_misfit_is_told_with_the_file_or_the_override_that_it_came_from(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text("name: a\ngrid: {rules: [supr]}")
    with pytest.raises(InputError, match=r"study\.yaml: grid\.rules\[0\]: unknown rule"):
        load_study(path)
    with pytest.raises(InputError, match=r"^--set grid\.rules\[0\]: unknown rule"):
        load_study(path, ["grid.rules=[supr]"])


PLAIN = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**30), 10**30),
    st.floats(),
    st.text(max_size=12),
    st.sampled_from(
        ["1e-3", "2^-7", "1/0", "9^999", "nan", ".inf", "gpt", "mlp", "supar", "2:4", "0:0", "text", "\ud800"]
    ),
)
VALUE = st.recursive(
    PLAIN, lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text(max_size=6), v, max_size=3), max_leaves=6
)


def _keys(schema: type[Any], prefix: str = "") -> list[str]:
    found = []
    for name, field in schema.model_fields.items():
        found.append(prefix + name)
        if hasattr(field.annotation, "model_fields"):
            found += _keys(field.annotation, f"{prefix}{name}.")
    return found


KEYS = [
    *_keys(Study),
    *(
        "tune.trials",
        "tune.space.lr.low",
        "tune.telescope_widths",
        "grid.lr.octaves",
        "grid.lr.step",
        "grid.variants.v",
    ),
    *("model.options.head_size", "model.options.heads", "rules.r.adamw.hidden.lr.width", "rules.r.like", "grid.cells"),
]

# The temporary folder is shared by all examples of a test; each overwrites its file.
SHARED = [HealthCheck.function_scoped_fixture]


def gives_study_or_input_error(path: Path) -> bool:
    """Whether the file is a study that can be written again, or refused in words that can be printed."""
    try:
        study = load_study(path)
    except InputError as error:
        return bool(str(error).encode())
    return bool(dump_study(study)) and all(study_warnings(study))


@settings(max_examples=300, suppress_health_check=SHARED)
@given(changes=st.dictionaries(st.sampled_from(KEYS), VALUE, min_size=1, max_size=3))
@example(changes={"grid.lr.octaves": [-(10**30), 10**30], "grid.lr.step": 1e-300})
@example(changes={"model.options.head_size": 10**30})
@example(changes={"model.options.heads": -1})
@example(changes={"rules.r.like": ["mup"]})
@example(changes={"grid.variants.v": {"base.width": 3}})
def test_no_value_anywhere_gives_anything_but_a_study_or_an_input_error(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    tree: dict[str, Any] = {"name": "a"}
    for key, value in changes.items():
        *sections, last = key.split(".")
        node: Any = tree
        for section in sections:
            if not isinstance(node.get(section), dict):
                node[section] = {}
            node = node[section]
        node[last] = value
    path = tmp_path / "study.yaml"
    path.write_bytes(write_yaml(tree).encode(errors="surrogatepass"))
    assert gives_study_or_input_error(path)


@settings(max_examples=200, suppress_health_check=SHARED)
@given(content=st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode(errors="surrogatepass")))
@example(content=b"&a [*a]")
@example(content=b"%YAML 999999999999999999999.1\n---\n{}")
@example(content=b"name: a\n<<: {question: *b}")
def test_no_bytes_whatever_give_anything_but_a_study_or_an_input_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "study.yaml"
    path.write_bytes(content)
    assert gives_study_or_input_error(path)


@settings(max_examples=150, suppress_health_check=SHARED)
@given(seed=st.integers(0, 2**32), cuts=st.integers(1, 4))
def test_no_damage_to_a_good_file_gives_anything_else(tmp_path: Path, seed: int, cuts: int) -> None:
    dice = random.Random(seed)
    content = bytearray((SWEEPS / "smoke.yaml").read_bytes())
    for _ in range(cuts):
        place = dice.randrange(len(content))
        content[place : place + dice.randrange(4)] = dice.choice(
            [b"", b"[", b"{", b":", b"&a ", b"*a", b"!!", b"-", b'"', b"\t", b"\n", b"0", b"e", b"#", b"? ", b"| "]
        )
    path = tmp_path / "study.yaml"
    path.write_bytes(bytes(content))
    assert gives_study_or_input_error(path)
