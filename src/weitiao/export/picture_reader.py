"""A picture as a model's processor makes it ready, by the rules that it states, with Pillow and NumPy alone.

    pixels("cats/1.jpg", rules)  ->  (C, H, W), float32

Runners hold these lines as they stand here: they know nothing of this library, nor of Transformers.  Rules are those of
`preprocessor_config.json`; a processor that does something else is found by `export.pictures.why_not`.
"""

import numpy as np
from PIL import Image, ImageOps


def opened(path: str) -> Image.Image:
    """Upright, RGB, what is clear on white, the first frame, of grey of 16 bits the upper 8."""
    picture = ImageOps.exif_transpose(Image.open(path))
    if picture.mode.startswith("I"):
        picture = Image.fromarray((np.asarray(picture).astype(np.uint16) >> 8).astype(np.uint8))
    elif picture.has_transparency_data:
        clear = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", clear.size, (255,) * 4), clear)
    return picture.convert("RGB")


def sides(wide: int, high: int, rules: dict) -> tuple[int, int]:
    """The width and height that a picture is brought to."""
    size, edge = rules["size"], rules["size"].get("shortest_edge")
    if not edge:
        return size["width"], size["height"]
    if "crop_pct" in rules:  # ConvNeXT: warped from 384 on, else brought to more than what is cut out
        if edge >= 384:
            return edge, edge
        edge = int(edge / rules["crop_pct"])
    long, short = max(wide, high), min(wide, high)
    if size.get("longest_edge") and long / short * edge > size["longest_edge"]:
        edge = size["longest_edge"] * short / long
    if short == round(edge):
        return wide, high
    return (round(edge), int(edge * high / wide)) if wide <= high else (int(edge * wide / high), round(edge))


def pixels(path: str, rules: dict) -> np.ndarray:
    """What the model is given of a picture (C, H, W)."""
    picture, cut = opened(path), rules.get("crop_size") if rules.get("do_center_crop") else None
    if rules.get("do_resize"):
        picture = picture.resize(sides(*picture.size, rules), rules["resample"])
        edge = rules["size"].get("shortest_edge")
        cut = {"height": edge, "width": edge} if "crop_pct" in rules and edge < 384 else cut
    if cut:
        left, top = (picture.width - cut["width"]) // 2, (picture.height - cut["height"]) // 2
        picture = picture.crop((left, top, left + cut["width"], top + cut["height"]))
    found = np.asarray(picture).transpose(2, 0, 1).astype(np.float64)
    if rules.get("do_rescale"):
        found = found * rules["rescale_factor"] - bool(rules.get("rescale_offset"))
    mean, std = (np.reshape(rules[name], (-1, 1, 1)) for name in ("image_mean", "image_std"))
    if rules.get("do_normalize"):
        found = (found - mean) / std
    found = found / std if rules.get("include_top") else found
    return np.ascontiguousarray(
        found, dtype=np.float32
    )  # as it lies in memory is all that some runtimes look at
