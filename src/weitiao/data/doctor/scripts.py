"""Scripts and languages: what most rows are written in, and which rows are not.

    "Great film" -> Latin, en      "这部电影" -> Han, simplified      rows in another script than the main one

Scripts come from Unicode's character names; languages of Latin script are guessed from frequent words.
"""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

from weitiao.data.doctor.finding import Case, Diagnosis, Finding, Marked, Part, Row, finding, percent

if TYPE_CHECKING:
    from numpy.typing import NDArray

LOOKED_AT = 1_000  # characters of a row
FEW = 0.2  # a script of fewer rows than this is "another" one
NAMES = {
    "LATIN": "Latin",
    "CJK": "Han",
    "HIRAGANA": "Kana",
    "KATAKANA": "Kana",
    "HANGUL": "Hangul",
    "CYRILLIC": "Cyrillic",
    "ARABIC": "Arabic",
    "GREEK": "Greek",
    "HEBREW": "Hebrew",
    "DEVANAGARI": "Devanagari",
    "BENGALI": "Bengali",
    "TAMIL": "Tamil",
    "THAI": "Thai",
    "GEORGIAN": "Georgian",
    "ARMENIAN": "Armenian",
}
SCRIPTS = ("", *dict.fromkeys(NAMES.values()), "other")
WORDS = {
    "en": "the and of to is in that it was for with you this are have not be",
    "fr": "le la les des et est une que dans pour pas qui sur je vous avec ce",
    "de": "der die das und ist nicht ein eine ich zu mit den von es sie auf",
    "es": "el los las que y es una por con para no se del como pero muy su",
    "it": "il che di è una per non con sono gli della ma molto questo anche",
    "pt": "o os que e é uma não com para do da em mais por muito um se",
}
STOP: dict[str, tuple[str, ...]] = {
    word: tuple(lang for lang in WORDS if word in WORDS[lang].split())
    for words in WORDS.values()
    for word in words.split()
}
# Frequent characters that are written in one of the two ways only, pair by pair.
SIMPLIFIED = frozenset(
    "们这来时说国会对发还过样开关点问间见长门马东车书乐听买卖让认谁话题语读钱银铁错难静风飞饭"
)
TRADITIONAL = frozenset(
    "們這來時說國會對發還過樣開關點問間見長門馬東車書樂聽買賣讓認誰話題語讀錢銀鐵錯難靜風飛飯"
)


class Scripts(Part):
    """Which scripts and languages the rows are in."""

    def __init__(self, case: Case):
        super().__init__(case)
        self.rows: defaultdict[str, Marked] = defaultdict(Marked)
        self.languages: Counter[str] = Counter()
        self.variants: defaultdict[str, Marked] = defaultdict(Marked)

    def see(self, row: Row) -> None:
        """Its main script, and the language when that is Latin or Han."""
        text = " ".join(row.texts.values())[:LOOKED_AT]
        script = main_script(text)
        if not script:
            return
        self.rows[script].add(row.index)
        if script == "Latin":
            self.languages[latin_language(text)] += 1
        elif script == "Han":
            self.languages["zh"] += 1
            if variant := han_variant(text):
                self.variants[variant].add(row.index)

    def tell(self, diagnosis: Diagnosis) -> Iterator[Finding]:
        """Rows in another script, several languages, both ways of writing Chinese."""
        counts = {script: marked.count for script, marked in self.rows.items()}
        ranked = dict(sorted(counts.items(), key=lambda pair: -pair[1]))
        diagnosis.tables["scripts"] = ranked
        diagnosis.tables["languages"] = dict(self.languages.most_common())
        diagnosis.tables["han"] = {name: marked.count for name, marked in self.variants.items()}
        total = sum(counts.values())
        main = next(iter(ranked), "")
        others = [script for script in ranked if script != main and ranked[script] < FEW * total]
        if others:
            indices = sorted(index for script in others for index in self.rows[script].first)
            named = ", ".join(f"{script} ({ranked[script]:,})" for script in others)
            yield finding(
                "other_script",
                "warning",
                count=sum(ranked[script] for script in others),
                places=self.case.places(indices),
                main=main,
                others=named,
            )
        spoken = [
            name for name, count in self.languages.items() if name != "unknown" and count >= 0.05 * total
        ]
        if len(spoken) > 1:
            shares = ", ".join(f"{name} {percent(self.languages[name], total)}" for name in spoken)
            yield finding("several_languages", "note", languages=shares)
        if len(self.variants) > 1:
            fewer = min(self.variants, key=lambda name: self.variants[name].count)
            marked = self.variants[fewer]
            table = diagnosis.tables["han"]
            yield finding(
                "han_variants",
                "note",
                count=marked.count,
                places=self.case.places(marked.first),
                simplified=f"{table['simplified']:,}",
                traditional=f"{table['traditional']:,}",
            )


def main_script(text: str) -> str:
    """The script of most letters; kana make a text Japanese whatever else is in it; empty without letters."""
    if text.isascii():
        return "Latin" if any(map(str.isalpha, text)) else ""
    import numpy as np

    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    table = _table()
    # Beyond the first plane and a half there are Han characters, and signs that are no letters.
    kinds = np.where(codes < len(table), table[np.minimum(codes, len(table) - 1)], SCRIPTS.index("Han"))
    counts = np.bincount(kinds, minlength=len(SCRIPTS))
    counts[0] = 0
    if not counts.any():
        return ""
    if counts[SCRIPTS.index("Kana")] * 5 >= counts[SCRIPTS.index("Han")] and counts[SCRIPTS.index("Kana")]:
        counts[SCRIPTS.index("Kana")] += counts[SCRIPTS.index("Han")]
    return SCRIPTS[int(counts.argmax())]


@cache
def _table() -> NDArray[Any]:
    import numpy as np

    table = np.zeros(0x20000, np.uint8)
    for code in range(0x10000):
        if unicodedata.category(chr(code))[0] == "L":
            first = unicodedata.name(chr(code), "?").split()[0]
            table[code] = SCRIPTS.index(NAMES.get(first, "Latin" if first == "FULLWIDTH" else "other"))
    return table


def latin_language(text: str) -> str:
    """`en`, `fr`, `de`, `es`, `it` or `pt` by frequent words; `unknown` when fewer than two are met."""
    best = Counter(
        one for word in text.lower().split()[:80] if word in STOP for one in STOP[word]
    ).most_common(2)
    clear = best and best[0][1] >= 2 and (len(best) == 1 or best[0][1] > best[1][1])
    return best[0][0] if clear else "unknown"


def han_variant(text: str) -> str:
    """`simplified` or `traditional`; empty when no telling character is met."""
    chars = set(text)
    simplified = len(chars & (SIMPLIFIED - TRADITIONAL))
    traditional = len(chars & (TRADITIONAL - SIMPLIFIED))
    return "" if simplified == traditional else "simplified" if simplified > traditional else "traditional"
