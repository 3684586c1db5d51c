"""The same pictures as they come from worse cameras and worse ways: noise, blur, light, turns, JPEG, fewer pixels.

records  ->  damaged(...)  ->  by perturbation the rows whose picture it changes, each with what is done to it (`pictures.damage`)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from weitiao.core.contracts import Record, Shape, both
from weitiao.data.pictures.damage import DAMAGE, KINDS
from weitiao.data.pictures.damage import damaged as as_said
from weitiao.data.pictures.opening import Unreadable, opened
from weitiao.data.pictures.thumbnail import as_url
from weitiao.data.prefetch import mapped
from weitiao.evaluate.stress.perturb import Perturbation, chance

DAMAGES = (
    Perturbation("noise", both("noise", "噪声")),
    Perturbation("blur", both("blur", "模糊")),
    Perturbation("darker", both("darker", "更暗")),
    Perturbation("brighter", both("brighter", "更亮")),
    Perturbation("fainter", both("less contrast", "降低对比度")),
    Perturbation("grey", both("no colours", "去除颜色")),
    Perturbation("rotated", both("turned by 15°", "旋转 15°")),
    Perturbation("jpeg", both("strong JPEG compression", "强 JPEG 压缩")),
    Perturbation("coarse", both("half the resolution", "一半分辨率")),
    Perturbation("closer", both("closer (middle 80 %)", "更近（中间 80 %）")),
)


def damages(shape: Shape) -> list[Perturbation]:
    """Those that leave the answer what it is: where things lie matters to boxes and masks, and a picture that is itself the answer
    has none."""
    if not shape.pictures or shape.target in shape.pictures:
        return []
    return [one for one in DAMAGES if shape.target == "label" or not KINDS[one.name].moves]


def damaged(records: Sequence[Record], shape: Shape, *, seed: int) -> dict[Perturbation, dict[int, Record]]:
    """By perturbation the rows that it changes; what becomes of a row depends on no other row.

    Args:
        records: with a picture each.
        shape: theirs.
        seed: of what is drawn.
    """
    (column,), kinds = shape.pictures, damages(shape)

    def changed(record: Record) -> list[Record | None]:
        try:
            picture = opened(record.values[column])
        except Unreadable:  # whoever asks the row as it stands says so
            return [None] * len(kinds)
        made: list[Record | None] = []
        for one in kinds:
            said = f"{one.name} {chance(record, shape, seed, one.name).getrandbits(32)}"
            same = as_said(picture, said).tobytes() == picture.tobytes()
            made.append(None if same else replace(record, values={**record.values, DAMAGE: said}))
        return made

    found: dict[Perturbation, dict[int, Record]] = {one: {} for one in kinds}
    for row, each in enumerate(mapped(changed, records)):
        for one, record in zip(kinds, each, strict=True):
            if record is not None:
                found[one][row] = record
    return found


def drawn(record: Record, column: str) -> str:
    """A small copy of a row's picture as it is read, for a page; empty where it is gone."""
    try:
        picture = opened(record.values[column])
    except Unreadable:
        return ""
    said = record.values.get(DAMAGE)
    return as_url(as_said(picture, said) if said else picture)
