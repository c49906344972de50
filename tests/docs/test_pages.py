"""The pages as a site: no broken link or anchor, nothing generated is stale, the strict build passes."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from urllib.parse import unquote

import pytest
from markdown_pages import PAGES, ROOT, anchors, blocks, links

from hptransfer.study.strict_yaml import parse_yaml
from hptransfer.study.study import Study


def load_generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_docs", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_link_leads_nowhere(page: Path) -> None:
    for target in links(page.read_text(encoding="utf-8")):
        if "://" in target or target.startswith("mailto:"):
            continue
        path, _, anchor = unquote(target).partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{page.name}: {target}"
        if page.parent.name == "docs":
            assert file.is_relative_to(page.parent), f"{page.name}: {target} leaves docs/, which the site cannot follow"
        if anchor:
            assert anchor in anchors(file.read_text(encoding="utf-8")), f"{page.name}: {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_number_is_still_to_be_filled_in(page: Path) -> None:
    assert not re.findall(r"@[A-Z_]+@|TODO|TBD", page.read_text(encoding="utf-8"))


def test_links_and_anchors_are_found() -> None:
    text = "# One `two`\n[a](x.md#one-two) ![b](p.png)\n```sh\n# Not a heading [c](no.md)\n```\n"
    assert links(text) == ["x.md#one-two", "p.png"]
    assert anchors(text) == {"one-two"}


def test_generated_pages_are_fresh() -> None:
    stale = [
        str(path.relative_to(ROOT))
        for path, text in load_generator().pages().items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    assert not stale, "run: python docs/generate.py"


def test_every_page_is_in_the_navigation() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    for page in PAGES[1:]:
        assert f" {page.name}\n" in navigation, page.name


def test_every_yaml_block_is_a_piece_of_a_study() -> None:
    tried = 0
    for page in PAGES:
        for block in blocks(page.read_text(encoding="utf-8")):
            if block.language == "yaml":
                Study.model_validate({"name": "piece", **parse_yaml(block.text)})
                tried += 1
    assert tried >= 3


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("material") is None, reason="mkdocs-material is not installed")
def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "docs", tmp_path / "docs", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "mkdocs.yml", tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict"], cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for page in PAGES[1:]:
        folder = tmp_path / "site" / ("" if page.stem == "index" else page.stem)
        assert "<h1" in (folder / "index.html").read_text(encoding="utf-8"), page.name


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CHANGELOG.md"], ids=lambda page: page.name)
def test_every_module_that_a_page_names_is_there(page: Path) -> None:
    """Files as `hptransfer/a/b.py`, modules and what they hold as `hptransfer.a.b`; of the changelog what is now."""
    text = page.read_text(encoding="utf-8")
    if page.stem == "CHANGELOG":
        text = re.sub(r"^\| `.*?\| ", "| ", text, flags=re.M)
    for path in re.findall(r"\bhptransfer/[\w/]+(?:\.\w+)?", text):
        assert (ROOT / path).exists(), f"{page.name}: {path}"
    for dotted in re.findall(r"\bhptransfer\.[a-z_]+(?:\.\w+)*", text):
        assert is_there(dotted), f"{page.name}: {dotted}"


def is_there(dotted: str) -> bool:
    """Whether a dotted name is a module or something that one holds."""
    with contextlib.suppress(ModuleNotFoundError):
        if importlib.util.find_spec(dotted) is not None:
            return True
    module, _, name = dotted.rpartition(".")
    return hasattr(importlib.import_module(module), name)


def test_the_table_of_where_to_look_leads_somewhere() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8").partition("## Where to look")[2]
    named = re.findall(r"`([a-z_]+/[\w/]*(?:\.py)?)`", text)
    assert len(named) > 12
    for path in named:
        assert (ROOT / "hptransfer" / path).exists(), path
