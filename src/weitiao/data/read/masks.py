"""A folder of pictures and masks in, one record a picture out.

    images/1.jpg, masks/1.png                             ->  Record(line=1, {"image": "images/1.jpg", "mask": "masks/1.png"})
    images/training/1.jpg, annotations/training/1.png     ->  the same (ADE20K)
    JPEGImages/1.jpg, SegmentationClass/1.png             ->  a record a mask (Pascal VOC)
    1.jpg, 1_mask.png                                     ->  the same (Roboflow)

A mask is that of a picture whose name it bears, also with `_mask` or its like behind it.  The line of a row is the place of its
picture in sorted order, from 1; masks of no picture come behind them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from weitiao.core.contracts import Record
from weitiao.core.why import reason
from weitiao.data.pictures.opening import ENDINGS
from weitiao.data.read.source import BadRow, Source

VOC = "SegmentationClass"
"""The folder of a data set most of whose pictures have no mask."""
PICTURES = ("images", "JPEGImages", "image", "imgs", "img")
MASKS = ("masks", VOC, "annotations", "labels", "mask", "segmentations", "gt")
BEHIND = ("", "_mask", "-mask", "_masks", "_label", "_labels", "_gt", "_seg", "_L")
"""What the names of masks have behind those of their pictures."""


def read_masks(folder: Path, files: list[str], sha256: str, *, asked: bool) -> Source | None:
    """Open a folder with masks in it; None where there are none.

    Args:
        folder: what to read.
        files: all files below it, with slashes, in order.
        sha256: of all of them.
        asked: is it known to be such a folder?  Else masks beside their pictures are taken for pictures.
    """
    seen = [file for file in files if Path(file).suffix.lower() in ENDINGS]
    found = _apart(seen) or (_beside(seen) if asked else None)
    if found is None:
        return None
    pictures, masks = found
    of_name: defaultdict[str, list[str]] = defaultdict(list)
    for mask, name in masks.items():
        of_name[name].append(mask)
    known = {name for picture in pictures for name in _names(picture, pictures[picture])}
    strangers = [mask for mask, name in masks.items() if name not in known]
    only = any(VOC in Path(mask).parts for mask in masks)
    without = [picture for picture, name in pictures.items() if not _of(picture, name, of_name)]
    lines = [picture for picture in pictures if not (only and picture in without)]

    def rows() -> Iterator[Record | BadRow]:
        for line, picture in enumerate(lines, start=1):
            own = _of(picture, pictures[picture], of_name)
            if len(own) == 1:
                yield Record(str(folder), line, {"image": picture, "mask": own[0]})
            else:
                why = (
                    reason("masks_of_picture", masks=", ".join(own)) if own else reason("no_mask_of_picture")
                )
                yield BadRow(str(folder), line, f"{picture}: {why}", picture)
        for line, mask in enumerate(strangers, start=len(lines) + 1):
            yield BadRow(str(folder), line, reason("mask_of_no_picture", file=mask), mask)

    notes: tuple[str, ...] = (reason("lines_are_files"),)
    if only and without:
        notes = (*notes, reason("pictures_without_masks", count=len(without), name=VOC))
    return Source(str(folder), "masks", "", sha256, ["image", "mask"], rows, notes)


def _apart(seen: list[str]) -> tuple[dict[str, str], dict[str, str]] | None:
    """Pictures and masks in folders of their own: each file with what both have in common of their names."""
    there = {part for file in seen for part in Path(file).parts[:-1]}
    ours = next((name for name in PICTURES if name in there), None)
    theirs = next((name for name in MASKS if name in there), None)
    if ours is None or theirs is None:
        return None

    def below(part: str) -> dict[str, str]:
        return {file: _without(file, part) for file in seen if part in Path(file).parts[:-1]}

    return below(ours), below(theirs)


def _beside(seen: list[str]) -> tuple[dict[str, str], dict[str, str]] | None:
    """Masks beside their pictures, told apart by what is behind their names."""
    masks = {
        file: _without(file, "")
        for file in seen
        if any(Path(file).stem.endswith(each) for each in BEHIND if each)
    }
    return ({file: _without(file, "") for file in seen if file not in masks}, masks) if masks else None


def _without(file: str, part: str) -> str:
    """A file's name without its ending and that folder."""
    *folders, _ = Path(file).parts
    if part:
        at = len(folders) - 1 - folders[::-1].index(part)
        folders = folders[:at] + folders[at + 1 :]
    return "/".join([*folders, Path(file).stem])


def _names(picture: str, name: str) -> list[str]:
    """What a mask of the picture may be called: by its name, or by that of the file (`1.jpg.png`)."""
    whole = name + Path(picture).suffix
    return [base + behind for base in (name, whole) for behind in BEHIND]


def _of(picture: str, name: str, of_name: dict[str, list[str]]) -> list[str]:
    return [mask for each in _names(picture, name) for mask in of_name.get(each, ())]
