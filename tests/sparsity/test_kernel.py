"""The C kernel is built once, safely, and nothing depends on it."""

from __future__ import annotations

import os
import stat
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from hptransfer.sparsity import kernel
from hptransfer.sparsity.indices import prepare_indices

compiler = kernel.find_compiler()
needs_compiler = pytest.mark.skipif(compiler is None, reason="no C compiler here")


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty cache folder and a process that has not tried yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    kernel.load_kernel.cache_clear()
    yield tmp_path
    kernel.load_kernel.cache_clear()


@needs_compiler
def test_many_workers_may_build_at_once_and_leave_one_library(tmp_path: Path):
    with ThreadPoolExecutor(4) as pool:
        paths = {f.result() for f in [pool.submit(kernel.build_kernel, tmp_path, compiler) for _ in range(4)]}
    assert len(paths) == 1
    assert [p.suffix for p in tmp_path.iterdir()] == [".so"]


@needs_compiler
def test_a_built_library_is_not_built_again(tmp_path: Path):
    first = kernel.build_kernel(tmp_path, compiler)
    changed = first.stat().st_mtime_ns
    assert kernel.build_kernel(tmp_path, compiler) == first
    assert first.stat().st_mtime_ns == changed


@needs_compiler
def test_another_source_has_another_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    other = tmp_path / "kernel.c"
    other.write_bytes(kernel.SOURCE.read_bytes() + b"\n")
    first = kernel.build_kernel(tmp_path, compiler)
    monkeypatch.setattr(kernel, "SOURCE", other)
    assert kernel.build_kernel(tmp_path, compiler) != first


def test_without_a_compiler_there_is_no_kernel(fresh: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CC", raising=False)
    assert kernel.load_kernel() is None


def test_a_compiler_that_refuses_the_source_leaves_nothing_behind(fresh: Path, monkeypatch: pytest.MonkeyPatch):
    refusing = fresh / "bad-cc"
    refusing.write_text("#!/bin/sh\nexit 1\n")
    refusing.chmod(refusing.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("CC", str(refusing))
    assert kernel.load_kernel() is None
    assert list((fresh / "hptransfer").iterdir()) == []


@needs_compiler
def test_a_home_that_cannot_be_written_is_no_hindrance(fresh: Path, monkeypatch: pytest.MonkeyPatch):
    (fresh / "hptransfer").write_text("a file where the folder should be")
    monkeypatch.setattr(tempfile, "tempdir", str(fresh))
    built = kernel.load_kernel()
    assert built is not None
    assert built.path.parent.name.startswith("hptransfer-")


@needs_compiler
def test_a_temporary_folder_open_to_others_is_not_trusted(fresh: Path, monkeypatch: pytest.MonkeyPatch):
    (fresh / "hptransfer").write_text("a file where the folder should be")
    monkeypatch.setattr(tempfile, "tempdir", str(fresh))
    (fresh / f"hptransfer-{os.getuid()}").mkdir()
    (fresh / f"hptransfer-{os.getuid()}").chmod(0o777)
    assert kernel.load_kernel() is None


@needs_compiler
@pytest.mark.parametrize("flags", [("-O1",), ("-O3", "-march=native", "-fsanitize=undefined")])
def test_other_instruction_sets_give_the_same_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags):
    """Without -march=native the vectors are split into those every processor of the family has."""
    monkeypatch.setattr(kernel, "FLAGS", (*flags, "-shared", "-fPIC"))
    path = kernel.build_kernel(tmp_path, compiler)
    if path is None:
        pytest.skip(f"the compiler has no {flags[-1]}")
    built = kernel.open_kernel(path)
    draw = torch.Generator().manual_seed(0)
    mask = torch.rand(50, 70, generator=draw) < 0.2
    ix, x, grad = prepare_indices(mask), torch.randn(90, 70, generator=draw), torch.randn(90, 50, generator=draw)
    dense = torch.randn(50, 70, generator=draw) * mask
    dx, dw = built.backward(grad, x, dense[mask], ix)
    torch.testing.assert_close(built.forward(x, dense[mask], ix), x @ dense.t())
    torch.testing.assert_close(dx, grad @ dense)
    torch.testing.assert_close(dw, (grad.t() @ x)[mask])


@needs_compiler
def test_the_source_compiles_without_a_warning():
    done = subprocess.run(
        [compiler, "-O2", "-Wall", "-Wextra", "-Werror", "-Wno-psabi", "-fsyntax-only", str(kernel.SOURCE)],
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr.decode()
