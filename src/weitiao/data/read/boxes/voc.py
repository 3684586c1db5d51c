"""A folder of Pascal VOC's XML in, one record a picture out.

    Annotations/1.xml: <annotation><filename>1.jpg</filename><object><name>cat</name><bndbox>...</bndbox></object></annotation>

Pictures lie in `JPEGImages` or `images` beside the folder of the XML, or beside the XML itself.  `xmin` ... `ymax` are taken as
the edges of the box, as labelling tools write them.  A `difficult` thing is a thing.  The line of a row is the place of its XML in
sorted order, from 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from weitiao.core.contracts import Record
from weitiao.core.why import reason
from weitiao.data.read.source import BadRow, Source

BESIDE = ("JPEGImages", "images")
"""Folders of pictures beside that of the XML."""
EDGES = ("xmin", "ymin", "xmax", "ymax")


def read_voc(folder: Path, files: list[str], sha256: str) -> Source | None:
    """Open a folder with such XML below it; None where there is none.

    Args:
        folder: what to read.
        files: all files below it, with slashes, in order.
        sha256: of all of them.
    """
    found = [file for file in files if file.lower().endswith(".xml")]
    there = set(files)

    def rows() -> Iterator[Record | BadRow]:
        for line, file in enumerate(found, start=1):
            yield _row(folder, file, line, there)

    if not found:
        return None
    notes = (reason("lines_are_xml"),)
    return Source(str(folder), "Pascal VOC", "", sha256, ["image", "objects", "size"], rows, notes)


def _row(folder: Path, file: str, line: int, there: set[str]) -> Record | BadRow:
    def bad(why: str) -> BadRow:
        return BadRow(str(folder), line, f"{file}: {why}", file)

    try:
        # Entities that unpack to gigabytes need a declaration, which no labelling tool writes.
        text = (folder / file).read_bytes()
        if b"<!ENTITY" in text:
            return bad(reason("xml_entities"))
        root = ElementTree.fromstring(text)
    except (ElementTree.ParseError, OSError, ValueError) as error:
        return bad(reason("xml_broken", why=error))
    if root.tag != "annotation":
        return bad(reason("xml_other", tag=root.tag))
    objects = []
    for number, one in enumerate(root.iter("object"), start=1):
        name, edges = (one.findtext("name") or "").strip(), [one.findtext(f"bndbox/{edge}") for edge in EDGES]
        try:
            x, y, right, down = (float(edge or "") for edge in edges)
        except ValueError:
            return bad(reason("voc_no_box", number=number))
        if not name:
            return bad(reason("voc_no_name", number=number))
        objects.append({"label": name, "box": [x, y, right - x, down - y]})
    size: Any = [root.findtext("size/width"), root.findtext("size/height")]
    size = [int(side) for side in size] if all((side or "").strip().isdigit() for side in size) else None
    picture = _picture(file, (root.findtext("filename") or "").strip(), there)
    return Record(str(folder), line, {"image": picture, "objects": objects, "size": size or None})


def _picture(file: str, named: str, there: set[str]) -> str:
    """Where the picture of an XML lies below the folder; by the name of the XML where it names none that is there."""
    here, stem = Path(file).parent, Path(file).stem
    names = [Path(named).name] if named else []
    names += [f"{stem}{ending}" for ending in (".jpg", ".jpeg", ".png", ".JPG", ".JPEG", ".PNG")]
    places = [*(here.parent / beside / here.relative_to(here) for beside in BESIDE), here, here.parent]
    tried = [(place / name).as_posix() for name in names for place in places]
    return next((one for one in tried if one in there), tried[0])
