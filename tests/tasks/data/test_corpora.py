"""Corpora: what the batches depend on, what the fingerprint covers, what is refused."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hptransfer.common.errors import InputError
from hptransfer.study.pieces import DataSpec
from hptransfer.tasks.data import Corpus, MarkovSource, open_corpus
from hptransfer.tasks.data.fingerprint import file_digest

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
        "from hptransfer.tasks.data import open_corpus; from hptransfer.study.pieces import DataSpec;"
        "c = open_corpus(DataSpec(max_bytes=200_000)); print(c.fingerprint, c.batch(3, 7, 2, 5).tolist())"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd="/")
    corpus = open_corpus(LIBRARY)
    assert told.stdout.strip() == f"{corpus.fingerprint} {corpus.batch(3, 7, 2, 5).tolist()}"


def test_a_batch_holds_whole_windows_of_the_training_part() -> None:
    batch = counted(1000).batch(seed=0, step=0, batch_size=4, sequence_length=10)
    assert batch.shape == (4, 11)
    assert batch.dtype == torch.int64
    assert torch.equal((batch[:, 1:] - batch[:, :-1]) % 256, torch.ones(4, 10, dtype=torch.int64))


@settings(max_examples=30)
@given(seed=st.integers(0, 2**63 - 1), step=st.integers(0, 10**9))
def test_the_batch_stream_depends_on_seed_and_step_alone(seed: int, step: int) -> None:
    corpus = counted(100_000)
    first = corpus.batch(seed, step, 8, 4)
    corpus.batch(seed + 1, step + 5, 8, 4)
    assert torch.equal(corpus.batch(seed, step, 8, 4), first)
    assert not torch.equal(corpus.batch(seed, step + 1, 8, 4), first)
    assert not torch.equal(corpus.batch(seed + 1, step, 8, 4), first)


def test_the_stream_is_pinned_so_that_stored_trials_stay_comparable() -> None:
    assert counted(1000).batch(0, 0, 4, 2)[:, 0].tolist() == [1, 42, 135, 100]


def test_every_window_is_reachable_and_about_equally_likely() -> None:
    corpus = counted(12)  # windows of 2 + 1 tokens start at 0 … 9
    starts = torch.cat([corpus.batch(1, step, 100, 2)[:, 0] for step in range(100)])
    counts = torch.bincount(starts, minlength=10)
    assert counts.shape == (10,)
    assert abs(counts - 1000).max() < 150


def test_held_out_batches_are_fixed_and_spread_over_the_whole_part() -> None:
    corpus = counted(240)
    batches = corpus.validation_batches(tokens=60, batch_size=3, sequence_length=10)
    assert [tuple(b.shape) for b in batches] == [(3, 11), (3, 11)]
    assert torch.cat(batches)[:, 0].tolist() == [0, 45, 91, 137, 183, 229]
    assert all(map(torch.equal, batches, corpus.validation_batches(60, 3, 10)))


def test_no_more_is_scored_than_the_held_out_part_holds() -> None:
    assert len(counted(240).validation_batches(tokens=10**9, batch_size=3, sequence_length=10)) == 8
    assert len(counted(20).validation_batches(tokens=1, batch_size=3, sequence_length=10)) == 1


def test_a_sequence_longer_than_the_data_is_refused() -> None:
    corpus = counted(20)
    assert corpus.batch(0, 0, 1, 19).tolist() == [list(range(20))]
    with pytest.raises(InputError, match="at most 19, as the training part holds 20 tokens"):
        corpus.batch(0, 0, 1, 20)
    with pytest.raises(InputError, match="held-out"):
        corpus.validation_batches(1, 1, 20)


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


def test_the_digest_of_a_large_file_is_kept_until_the_file_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    large = tmp_path / "large.bin"
    with open(large, "wb") as file:
        file.truncate(65 * 2**20)
    digest = file_digest(large)
    (kept,) = (tmp_path / "cache" / "hptransfer" / "digests").iterdir()
    assert kept.read_text() == digest
    kept.write_text("f" * 64)
    assert file_digest(large) == "f" * 64
    os.utime(large, ns=(0, 0))
    assert file_digest(large) == digest


def test_two_even_coin_tosses_have_one_bit_of_entropy() -> None:
    """A hand-made check of the formula: order 0, the entropy of its single row."""
    source = MarkovSource(vocab_size=2, order=0)
    chance = source.transitions()[0]
    assert source.entropy_rate() == pytest.approx(-sum(p * math.log(p) for p in chance))


@pytest.mark.parametrize("order", [0, 1, 2])
def test_the_stream_has_the_entropy_it_claims(order: int) -> None:
    source = MarkovSource(vocab_size=16, order=order, seed=5)
    stream = source.sample(200_000).astype(np.int64)
    table = source.transitions()
    context = np.zeros(len(stream) - order, dtype=np.int64)
    for back in range(order):
        context = context * 16 + stream[back : len(stream) - order + back]
    surprise = -np.log(table[context, stream[order:]])
    error = surprise.std() / math.sqrt(len(surprise))
    # The 256 joints between stretches cost up to 256 · order tokens of surprise at random: below 0.005 nats here.
    assert abs(surprise.mean() - source.entropy_rate()) < 4 * error + 0.005
    assert source.entropy_rate() < math.log(16) - 0.1


def test_the_synthetic_corpus_says_its_least_loss_and_depends_on_its_seed() -> None:
    one, two = (open_corpus(DataSpec(source="synthetic", synthetic_seed=s, max_bytes=5000)) for s in (1, 2))
    assert one.vocab_size == 64
    assert one.entropy == pytest.approx(MarkovSource(64, 1, 1).entropy_rate())
    assert one.fingerprint != two.fingerprint
    assert open_corpus(LIBRARY).entropy is None
