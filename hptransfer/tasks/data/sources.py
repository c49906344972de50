"""Opening a corpus: the standard library's sources, a file's bytes, token files, a synthetic source."""

from __future__ import annotations

import os
import sysconfig
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np

from hptransfer.common.errors import InputError
from hptransfer.common.files import digest_of
from hptransfer.study.pieces import DataSpec
from hptransfer.tasks.data.corpus import Corpus, Tokens
from hptransfer.tasks.data.fingerprint import file_digest
from hptransfer.tasks.data.synthetic import MarkovSource

__all__ = ["open_corpus", "stdlib_bytes"]

SYNTHETIC_TOKENS = 1_000_000
SYNTHETIC_VOCABULARY = 64
SAMPLE = 65_536

# Not every installation carries these, or they name the machine they were built on.
_LEFT_OUT = {"__pycache__", "dist-packages", "ensurepip", "idlelib", "lib2to3", "site-packages", "test", "tests"}
_LEFT_OUT_FILES = ("_sysconfigdata", "sitecustomize", "usercustomize")


def open_corpus(spec: DataSpec, expected: str = "") -> Corpus:
    """The corpus a study names; the same object again while its file is unchanged.

    With `expected` (a trial's `data_id`) an `InputError` says so when this machine's data is other data.
    """
    corpus = _open(
        spec, *(_stamp(p, key) for p, key in ((spec.path, "path"), (spec.validation_path, "validation_path")))
    )
    if expected and corpus.fingerprint != expected:
        raise InputError(
            "this machine's data is not the data the trial was planned with",
            where=f"data ({spec.source})",
            found=corpus.fingerprint,
            allowed=expected,
            hint="`stdlib` differs between Python versions; give every machine the same Python, or use `text`",
        )
    return corpus


def stdlib_bytes(most: int) -> bytes:
    """The first `most` bytes of the running Python's own library sources, file after file in sorted order."""
    content = bytearray()
    for path in _library_files():
        if len(content) >= most:
            break
        content += path.read_bytes()
    return bytes(content[:most])


def _library_files() -> Iterator[Path]:
    for folder, folders, files in os.walk(sysconfig.get_paths()["stdlib"]):
        folders[:] = sorted(f for f in folders if f not in _LEFT_OUT and not f.startswith("config-"))
        for name in sorted(files):
            if name.endswith(".py") and not name.startswith(_LEFT_OUT_FILES):
                yield Path(folder, name)


def _stamp(path: str | None, key: str) -> tuple[str, int, int]:
    """What tells a changed file from an unchanged one without reading it."""
    if path is None:
        return ("", 0, 0)
    file = Path(path).expanduser()
    if not file.is_file():
        problem = "no such file" if not file.exists() else "not a file"
        raise InputError(problem, where=f"data.{key}", found=path, allowed="an existing file")
    stat = file.stat()
    return (str(file.resolve()), stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=8)
def _open(spec: DataSpec, training: tuple[str, int, int], validation: tuple[str, int, int]) -> Corpus:
    try:
        if spec.source == "synthetic":
            return _synthetic(spec)
        if spec.source == "tokens":
            return _token_files(spec, training[0], validation[0])
        return _byte_corpus(spec, training[0])
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", where="data.path", found=error.filename) from error


def _byte_corpus(spec: DataSpec, path: str) -> Corpus:
    if spec.source == "stdlib":
        content = stdlib_bytes(spec.max_bytes)
    else:
        with open(path, "rb") as file:
            content = file.read(spec.max_bytes)
    vocab_size = 256 if spec.vocab_size is None else spec.vocab_size
    if vocab_size < 256:
        raise InputError("bytes need 256 tokens", where="data.vocab_size", found=vocab_size, allowed="256 or more")
    tokens = np.frombuffer(content, dtype=np.uint8)
    return _split(spec, tokens, digest_of(content), vocab_size)


def _synthetic(spec: DataSpec) -> Corpus:
    vocab_size = SYNTHETIC_VOCABULARY if spec.vocab_size is None else spec.vocab_size
    source = MarkovSource(vocab_size, spec.synthetic_order, spec.synthetic_seed)
    tokens = source.sample(min(spec.max_bytes, SYNTHETIC_TOKENS))
    digest = digest_of(tokens.astype("<u4").tobytes())
    return _split(spec, tokens, digest, vocab_size, source.entropy_rate())


def _token_files(spec: DataSpec, path: str, validation_path: str) -> Corpus:
    assert spec.vocab_size is not None, "DataSpec asks for it"
    train = _map_tokens(path, spec, "path")
    if not validation_path:
        return _split(spec, train, file_digest(path), spec.vocab_size)
    validation = _map_tokens(validation_path, spec, "validation_path")
    name = _name(file_digest(path), spec.dtype, str(spec.vocab_size), file_digest(validation_path))
    return Corpus(name, spec.vocab_size, train, validation)


def _map_tokens(path: str, spec: DataSpec, key: str) -> Tokens:
    kind = np.dtype("<u2" if spec.dtype == "uint16" else "<u4")
    size = os.path.getsize(path)
    if size == 0 or size % kind.itemsize:
        raise InputError(
            f"is no file of {spec.dtype} tokens: it holds {size} bytes",
            where=f"data.{key}",
            found=path,
            allowed=f"a multiple of {kind.itemsize} bytes, above 0",
        )
    tokens = np.memmap(path, dtype=kind, mode="r")
    largest = int(tokens[:: max(1, len(tokens) // SAMPLE)].max())
    assert spec.vocab_size is not None
    if largest >= spec.vocab_size:
        raise InputError(
            f"holds a token outside the vocabulary of {spec.vocab_size}",
            where=f"data.{key}",
            found=largest,
            allowed=f"token ids below data.vocab_size = {spec.vocab_size}",
            hint="set data.vocab_size and data.dtype to those of the tokenizer that wrote the file",
        )
    return tokens


def _split(spec: DataSpec, tokens: Tokens, digest: str, vocab_size: int, entropy: float | None = None) -> Corpus:
    """Hold out the tail. The fingerprint covers the tokens, their type, the vocabulary and where the cut lies."""
    cut = len(tokens) - int(len(tokens) * spec.validation_fraction)
    if cut < 1 or cut == len(tokens):
        raise InputError(
            f"cannot be split: {len(tokens)} tokens with a held-out share of {spec.validation_fraction:g}",
            where="data",
            found=spec.path or spec.source,
            allowed="at least one token to train on and one held out",
        )
    name = _name(digest, tokens.dtype.name, str(vocab_size), str(cut))
    return Corpus(name, vocab_size, tokens[:cut], tokens[cut:], entropy)


def _name(*parts: str) -> str:
    return digest_of("/".join(parts), 20)
