"""The starter study reads back as a study, names what was asked for, and is never written over anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from hptransfer.common.errors import InputError
from hptransfer.study.starter import starter_text, write_starter
from hptransfer.study.strict_yaml import parse_yaml
from hptransfer.study.study import Study


def read(text: str) -> Study:
    return Study.model_validate(parse_yaml(text))


def test_it_is_a_study_named_after_its_file() -> None:
    study = read(starter_text(Path("some folder/My study.yaml")))
    assert study.name == "My-study"
    assert (study.model.factory, study.model.options) == ("gpt", {"head_size": 32})
    assert study.data.source == "stdlib"


def test_a_factory_and_a_text_of_ones_own(tmp_path: Path) -> None:
    study = read(starter_text(tmp_path / "s.yaml", factory="lab.model:build", text=tmp_path / "texts" / "a.txt"))
    assert (study.model.factory, study.model.options) == ("lab.model:build", {})
    assert study.data.path == str(tmp_path / "texts" / "a.txt")


def test_it_is_written_once_and_says_what_to_do_next(tmp_path: Path) -> None:
    file = tmp_path / "s.yaml"
    assert write_starter(file) == f"Wrote {file}. Next: hptransfer plan {file}"
    with pytest.raises(InputError, match="already there"):
        write_starter(file)
    write_starter(file, factory="mlp", force=True)
    assert read(file.read_text()).model.factory == "mlp"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"factory": "gtp"}, "--factory: no such model; found 'gtp'.*did you mean 'gpt'"),
        ({"text": Path("nothing.txt")}, "no such text file"),
    ],
)
def test_what_is_not_there_is_refused(tmp_path: Path, changes: dict[str, object], says: str) -> None:
    with pytest.raises(InputError, match=says):
        write_starter(tmp_path / "s.yaml", **changes)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="is a folder"):
        write_starter(tmp_path)
