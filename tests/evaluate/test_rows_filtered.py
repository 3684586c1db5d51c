"""Rows of a page, filtered and sorted in a browser: what is left, and in which order, against the rows themselves."""

from __future__ import annotations

import json
import random
import shutil
import string
import subprocess

import pytest

from tests.evaluate.run_folders import again, classification, write_run
from weitiao.evaluate.report import write_report

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.whole,
    pytest.mark.skipif(not CHROMIUM, reason="needs chromium: a page runs in a browser"),
]
ASKED = """
<script>
const tools = document.querySelector("#errors .tools"), found = {};
const listed = () => [...document.querySelectorAll("#errors li:not([hidden])")].map((li) => li.querySelector(".mono").textContent);
const set = (pairs) => {
  for (const one of tools.querySelectorAll("select, input")) {
    const name = one.name || one.type;
    one.value = name in pairs ? pairs[name] : one.tagName === "SELECT" ? one.options[0].value : "";
  }
  tools.dispatchEvent(new Event("input"));
  return listed();
};
found.names = [...tools.querySelectorAll("select")].map((one) => one.name);
found.first = listed();
found.open = document.querySelectorAll("#errors ol.rows:not(.rest) > li").length;
found.good = set({ true: "好评" });
found.shop = set({ shop: "b", true: "差评" });
found.up = set({ order: "↑confidence" });
found.long = set({ order: "↓length" });
found.sure = set({ "confidence ≥": "0.6", "confidence ≤": "0.9" });
found.least = set({ "confidence ≥": "0.6", "length ≤": "60" });
found.ends = [...tools.querySelectorAll("input[type=number]")].map((one) => one.name);
found.word = set({ search: "needle" });
found.none = set({ search: "nothing like this" });
found.back = set({});
found.said = tools.querySelector("span.soft").textContent;
document.documentElement.setAttribute("data-found", JSON.stringify(found));
</script>
</body>
"""


def test_what_is_left_and_in_which_order(tmp_path, monkeypatch):
    monkeypatch.setenv("WEITIAO_LANG", "en")
    content, rng = classification(), random.Random(0)
    content["predictions.jsonl"] = [
        {**row, "line": row["line"] + 100 * copy, "tuned": {**row["tuned"], "score": rng.uniform(0.4, 0.999)}}
        for copy in range(3)
        for row in content["predictions.jsonl"]
    ]
    for row in content["predictions.jsonl"]:
        row["text"] = "".join(rng.choices(string.ascii_lowercase, k=rng.randint(40, 80)))
    content["predictions.jsonl"][1]["text"] += " needle"
    content = again(content)
    wrong = {
        f"{row['file']}:{row['line']}": row
        for row in content["predictions.jsonl"]
        if row["label"] != row["tuned"]["label"]
    }
    shops = {place: {"shop": "ab"[n % 2]} for n, place in enumerate(wrong)}
    content["analysis.json"] = {"version": 1, "columns": shops, "sections": {}}
    page = write_report(write_run(tmp_path, content))
    page.write_text(page.read_text(encoding="utf-8").replace("</body>", ASKED), encoding="utf-8")
    told = subprocess.run(
        [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}",
         "--dump-dom", page.as_uri()],
        capture_output=True, text=True, timeout=120, check=True, encoding="utf-8",
    ).stdout  # fmt: skip
    import html

    found = json.loads(html.unescape(told.partition('data-found="')[2].partition('"')[0]))
    most = sorted(wrong, key=lambda place: -wrong[place]["tuned"]["score"])
    assert found["names"] == ["true", "predicted", "shop", "order"]
    assert found["first"] == found["back"] == most
    assert found["open"] == 20 < len(most)
    assert found["good"] == [place for place in most if wrong[place]["label"] == "好评"]
    both = [place for place in most if wrong[place]["label"] == "差评" and shops[place]["shop"] == "b"]
    assert found["shop"] == both
    assert found["up"] == most[::-1]
    lengths = [len(wrong[place]["text"]) for place in found["long"]]
    assert lengths == sorted(lengths, reverse=True)
    assert set(found["long"]) == set(wrong)
    assert found["ends"] == ["length ≥", "length ≤", "confidence ≥", "confidence ≤"]
    assert found["sure"] == [place for place in most if 0.6 <= wrong[place]["tuned"]["score"] <= 0.9]
    sure = [place for place in most if wrong[place]["tuned"]["score"] >= 0.6]
    assert found["least"] == [place for place in sure if len(wrong[place]["text"]) <= 60]
    assert 0 < len(found["least"]) < len(sure) < len(most)
    assert found["word"] == [place for place in most if "needle" in wrong[place]["text"]]
    assert found["none"] == []
    assert found["said"] == f"{len(most)} of {len(most)}"
