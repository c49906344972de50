"""Corpora: what the batches depend on, what the fingerprint covers, what is refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hptransfer.common.errors import InputError
from hptransfer.study.pieces import DataSpec
from hptransfer.tasks.data.corpus import Corpus
from hptransfer.tasks.data.sources import open_corpus
from hptransfer.tasks.data.synthetic import MarkovSource

LIBRARY = DataSpec(max_bytes=200_000)


def counted(length: int, vocab_size: int = 256) -> Corpus:
    """Token i is i mod 256, so a window shows where it was cut."""
    tokens = (np.arange(length) % 256).astype(np.uint8)
    return Corpus("counted", vocab_size, tokens, tokens)


def test_the_standard_library_gives_bytes_split_nine_to_one() -> None:
    corpus = open_corpus(LIBRARY)
    assert (len(corpus.train), len(corpus.validation), corpus.vocab_size) == (180_000, 20_000, 256)
    assert b"import" in corpus.train.tobytes()
    assert open_corpus(LIBRARY) is corpus


def test_another_process_sees_the_same_library_and_the_same_batches() -> None:
    program = (
        "from hptransfer.tasks.data.sources import open_corpus; from hptransfer.study.pieces import DataSpec;"
        "c = open_corpus(DataSpec(max_bytes=200_000)); print(c.fingerprint, c.batch(3, 7, 2, 5).tolist())"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd="/")
    corpus = open_corpus(LIBRARY)
    assert told.stdout.strip() == f"{corpus.fingerprint} {corpus.batch(3, 7, 2, 5).tolist()}"


def test_a_file_is_known_by_its_content_not_its_place(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"to be or not to be " * 100)
    (tmp_path / "b.txt").write_bytes(b"to be or not to be " * 100)
    (tmp_path / "c.txt").write_bytes(b"to be or not to bE " * 100)
    a, b, c = (open_corpus(DataSpec(source="text", path=str(tmp_path / f"{x}.txt"))).fingerprint for x in "abc")
    assert a == b != c


def test_the_fingerprint_covers_the_split_and_the_vocabulary(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"to be or not to be " * 100)
    spec = DataSpec(source="text", path=str(tmp_path / "a.txt"))
    changed = [{"validation_fraction": 0.2}, {"vocab_size": 300}, {"max_bytes": 1500}]
    names = {open_corpus(spec.model_copy(update=change)).fingerprint for change in [{}, *changed]}
    assert len(names) == 4
    assert open_corpus(spec.model_copy(update={"max_bytes": 10**6})).fingerprint in names


def test_a_file_that_changed_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"a" * 2000)
    spec = DataSpec(source="text", path=str(path))
    before = open_corpus(spec)
    path.write_bytes(b"b" * 2001)
    assert open_corpus(spec).fingerprint != before.fingerprint


def test_a_machine_with_other_data_says_so() -> None:
    assert open_corpus(LIBRARY, open_corpus(LIBRARY).fingerprint)
    with pytest.raises(InputError, match="not the data the trial was planned with"):
        open_corpus(LIBRARY, "0" * 20)


@pytest.mark.parametrize("dtype", ["uint16", "uint32"])
def test_token_files_are_memory_mapped(tmp_path: Path, dtype: str) -> None:
    for name, start in (("train", 0), ("validation", 500)):
        (np.arange(400) + start).astype(dtype).tofile(tmp_path / f"{name}.bin")
    spec = DataSpec(
        source="tokens",
        path=str(tmp_path / "train.bin"),
        validation_path=str(tmp_path / "validation.bin"),
        dtype=dtype,  # type: ignore[arg-type]
        vocab_size=1000,
    )
    corpus = open_corpus(spec)
    assert isinstance(corpus.train, np.memmap)
    assert (int(corpus.train[-1]), int(corpus.validation[0])) == (399, 500)
    alone = open_corpus(spec.model_copy(update={"validation_path": None}))
    assert (len(alone.train), int(alone.validation[0])) == (360, 360)
    assert alone.fingerprint != corpus.fingerprint


def test_token_files_that_cannot_be_right_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.bin"
    spec = DataSpec(source="tokens", path=str(path), vocab_size=100)
    path.write_bytes(b"abc")
    with pytest.raises(InputError, match="multiple of 2 bytes"):
        open_corpus(spec)
    path.write_bytes(b"")
    with pytest.raises(InputError, match="0 bytes"):
        open_corpus(spec)
    np.full(1000, 100, dtype="<u2").tofile(path)
    with pytest.raises(InputError, match=r"below data\.vocab_size = 100"):
        open_corpus(spec)


def test_a_stray_token_between_the_samples_is_refused_in_its_batch(tmp_path: Path) -> None:
    tokens = np.zeros(200_000, dtype="<u2")
    tokens[1] = 999  # the opening check looks at every second token here
    tokens.tofile(tmp_path / "t.bin")
    corpus = open_corpus(DataSpec(source="tokens", path=str(tmp_path / "t.bin"), vocab_size=100))
    with pytest.raises(InputError, match="found 999"):
        corpus.batch(0, 0, 1, len(corpus.train) - 1)


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        (DataSpec(source="text", path="/no/such/file"), "data.path: no such file"),
        (DataSpec(source="text", path="/"), "data.path: not a file"),
        (DataSpec(vocab_size=100), "256 or more"),
        (DataSpec(source="synthetic", vocab_size=5000), "at most 4194304"),
    ],
)
def test_what_cannot_be_opened_is_said(spec: DataSpec, told: str) -> None:
    with pytest.raises(InputError, match=told):
        open_corpus(spec)


def test_a_file_too_short_to_split_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"abc")
    with pytest.raises(InputError, match="3 tokens"):
        open_corpus(DataSpec(source="text", path=str(tmp_path / "a.txt")))


def test_the_synthetic_corpus_says_its_least_loss_and_depends_on_its_seed() -> None:
    one, two = (open_corpus(DataSpec(source="synthetic", synthetic_seed=s, max_bytes=5000)) for s in (1, 2))
    assert one.vocab_size == 64
    assert one.entropy == pytest.approx(MarkovSource(64, 1, 1).entropy_rate())
    assert one.fingerprint != two.fingerprint
    assert open_corpus(LIBRARY).entropy is None
