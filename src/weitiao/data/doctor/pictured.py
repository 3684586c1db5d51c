"""Pictures of odd sizes, and the things in them: how many there are of each label, and boxes that can hardly be right.

2,000 x 20 among pictures of 64 x 48  ->  "2 pictures are of another size than most"
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import ClassVar

from weitiao.data.doctor.finding import Case, Diagnosis, Finding, Marked, Part, Row, finding

TIMES = 16
"""So many times the pixels of the middle picture, or so small a part of them, is odd."""
LONG = 5
"""So many times as wide as high, or the other way round."""
FEW_THINGS = 50
SMALL = 4
"""Pixels of a box's shorter side below which little is to be seen."""
WHOLE = 0.98
"""Share of a picture from which a box is the picture."""
UNEVEN = 10


class Sizes(Part):
    """Are the pictures of like sizes?"""

    shapes: ClassVar[tuple[str, ...]] = ("pictured", "boxed")

    def __init__(self, case: Case):
        super().__init__(case)
        self.sizes: list[tuple[int, int]] = []

    def see(self, row: Row) -> None:
        """Its width and height."""
        self.sizes.append((row.record.values["width"], row.record.values["height"]))

    def tell(self, diagnosis: Diagnosis) -> Iterator[Finding]:
        """Those that are far from the middle one, and long ones."""
        if not self.sizes:
            return
        middle = sorted(width * height for width, height in self.sizes)[len(self.sizes) // 2]
        odd, seen = Marked(), []
        for index, (width, height) in enumerate(self.sizes):
            far = not middle / TIMES < width * height < middle * TIMES
            if far or max(width, height) > LONG * min(width, height):
                odd.add(index)
                seen.append(f"{width} x {height}")
        if odd.count:
            named = ", ".join(dict.fromkeys(seen[:4]))
            (width, height), _ = Counter(self.sizes).most_common(1)[0]
            most = f"{width} x {height}"
            places = self.case.places(odd.first)
            yield finding("odd_sizes", "warning", count=odd.count, sizes=named, most=most, places=places)


class Boxes(Part):
    """What is in the pictures?"""

    shapes: ClassVar[tuple[str, ...]] = ("boxed",)

    def __init__(self, case: Case):
        super().__init__(case)
        self.things: Counter[str] = Counter()
        self.small, self.whole, self.bare = Marked(), Marked(), Marked()

    def see(self, row: Row) -> None:
        """Its things."""
        values = row.record.values
        self.things.update(one["label"] for one in values["objects"])
        sides = [one["box"][2:] for one in values["objects"]]
        if any(min(box) < SMALL for box in sides):
            self.small.add(row.index)
        if any(width * height >= WHOLE * values["width"] * values["height"] for width, height in sides):
            self.whole.add(row.index)
        if not sides:
            self.bare.add(row.index)

    def tell(self, diagnosis: Diagnosis) -> Iterator[Finding]:
        """The table of things; rare ones, and boxes that can hardly be right."""
        diagnosis.tables["things"] = dict(self.things.most_common(40))
        ranked = self.things.most_common()
        if few := [f"{name} ({count})" for name, count in ranked if count < FEW_THINGS]:
            yield finding(
                "rare_things", "warning", count=len(few), labels=", ".join(few[:8]), least=FEW_THINGS
            )
        elif ranked and ranked[0][1] > UNEVEN * ranked[-1][1]:
            (most, many), (least, some) = ranked[0], ranked[-1]
            yield finding(
                "uneven_things", "warning", most=most, many=f"{many:,}", least=least, few=f"{some:,}"
            )
        for code, marked in (
            ("small_boxes", self.small),
            ("whole_boxes", self.whole),
            ("no_boxes", self.bare),
        ):
            if marked.count:
                places = self.case.places(marked.first)
                yield finding(code, "note", count=marked.count, places=places, least=SMALL)
