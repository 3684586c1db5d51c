"""What pages point to is there, and every page of docs/ stands in both languages.

docs/X.md, docs/X.zh-CN.md  ->  the same headings, tables and fences, one by one; links that stay in their language
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.glob("*.md"), *ROOT.glob("notes/*.md")])
NAMES = sorted(path.stem for path in DOCS.glob("*.md") if not path.stem.endswith(".zh-CN"))
MADE = [name for name in NAMES if "Made by `python docs/make.py`" in (DOCS / f"{name}.md").read_text("utf-8")]
LINK = re.compile(r"\[([^\]]*)\]\(([^)\s#]+)[^)]*\)(（英文）)?")


def anchors(page: Path) -> set[str]:
    """What leads to the headings of a page, as GitHub makes it of their words."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    headings = (
        re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", line) for line in re.findall(r"^#+ (.*)$", text, re.M)
    )
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=[path.name for path in PAGES])
def test_links_resolve(page):
    for target, heading in re.findall(r"\]\(([^)\s#]*)#?([^)\s]*)\)", page.read_text(encoding="utf-8")):
        if not target.startswith(("http://", "https://")):
            there = page.parent / target if target else page
            assert there.exists(), target
            assert not heading or there.suffix != ".md" or heading in anchors(there), f"{target}#{heading}"


def english_and_chinese(name: str) -> tuple[str, str]:
    return tuple((DOCS / file).read_text(encoding="utf-8") for file in (f"{name}.md", f"{name}.zh-CN.md"))


@pytest.mark.parametrize("name", NAMES)
def test_a_page_and_its_twin_lead_to_each_other(name):
    for text, other in zip(english_and_chinese(name), (f"{name}.zh-CN.md", f"{name}.md"), strict=True):
        assert f"]({other})" in "".join(text.splitlines(keepends=True)[:6])


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page.name.endswith(".zh-CN.md")], ids=lambda page: page.name
)
def test_chinese_pages_lead_to_chinese_pages(page):
    own = page.name.replace(".zh-CN", "")
    for label, target, marked in LINK.findall(page.read_text(encoding="utf-8")):
        twin = page.parent / target.replace(".md", ".zh-CN.md")
        if target.endswith(".md") and not target.endswith(".zh-CN.md") and target != own:
            assert not twin.exists(), f"[{label}]({target})"
        assert not marked or not target.endswith(".zh-CN.md"), f"[{label}]({target})（英文）"


def parts(text: str, *, named: bool) -> list[tuple[str, str, int]]:
    """What carries a page: headings, rows of tables and fences, each with the first name in it that is typed."""
    lines = re.findall(r"^(#+|\||```)(.*)$", text, re.M)
    return [(mark, "".join(re.findall(r"`([^`]*)`", line)[:named]), line.count("|")) for mark, line in lines]


@pytest.mark.parametrize("name", NAMES)
def test_a_page_has_the_same_parts_in_both_languages(name):
    """Of pages that are written by hand an example may be told in Chinese (`RUN`, `运行`)."""
    english, chinese = (parts(text, named=name in MADE) for text in english_and_chinese(name))
    assert chinese == english


@pytest.mark.parametrize("name", [name for name in MADE if name != "metrics"])  # whose sources are sentences
def test_a_made_page_leaves_no_english_sentence(name):
    text = english_and_chinese(name)[1]
    text = re.sub(r'^```.*?^```$|<!--.*?-->|`[^`]*`|"[^"\n]*"|\]\([^)]*\)', "", text, flags=re.M | re.S)
    said = [line for line in text.splitlines() if not line.startswith("| 出处 |")]
    assert [line for line in said if re.search(r"\b[a-z]+ [a-z]+ [a-z]+ [a-z]+\b", line)] == []


def test_no_chinese_is_kept_that_no_page_says():
    pages = " ".join(" ".join(english_and_chinese(name)[1].replace("\\|", "|").split()) for name in MADE)
    told = yaml.safe_load((DOCS / "in_chinese.yaml").read_text(encoding="utf-8"))
    assert [text for text in told.values() if " ".join(text.split()) not in pages] == []
    assert [text for text in told.values() if text != "-" and not re.search(r"[\u4e00-\u9fff]", text)] == []


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("基座", "底座|基础模型"),
        ("账本", "台账"),
        ("附加依赖", "附加包"),
        ("运行文件夹", "运行目录"),
        ("您", "你(?!好|们)"),
    ],
)
def test_a_thing_has_one_name(ours, theirs):
    """Also in what the command line says; of words that mean the same one is said."""
    source = ROOT / "src"
    said = [
        *ROOT.glob("*.zh-CN.md"),
        *DOCS.glob("*.zh-CN.md"),
        *source.rglob("*.yaml"),
        *source.rglob("*.py"),
    ]
    found = {str(path): re.findall(f"{ours}|{theirs}", path.read_text(encoding="utf-8")) for path in said}
    assert any(found.values())
    assert {path: {*words} - {ours} for path, words in found.items() if {*words} - {ours}} == {}
