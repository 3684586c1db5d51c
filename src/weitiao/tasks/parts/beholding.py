"""What an encoder of pictures sees in them, in few numbers.

seen("efficientnet-lite0", pictures)  ->  (N, 32)

The encoder's pooled features are laid onto 32 fixed directions of chance (Johnson and Lindenstrauss 1984): the covariance of 1,280
numbers cannot be told from a hundred pictures, that of 32 can.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from weitiao.models import folders
from weitiao.models.opening import opened, resolve
from weitiao.models.quiet import quiet

if TYPE_CHECKING:
    from PIL.Image import Image

WIDTH = 32
SIDE = 96
"""Pixels of each side that an encoder of convolutions is shown: small pictures have no more to tell."""
AT_ONCE = 32


def seen(ref: str, pictures: Sequence[Image]) -> np.ndarray:
    """Features of each (N, WIDTH), float64.

    Raises:
        WeitiaoError: what opening the encoder raises.
    """
    import torch

    model, reads = _encoder(ref)
    found = []
    with torch.inference_mode():
        for start in range(0, len(pictures), AT_ONCE):
            some = [picture.convert("RGB") for picture in pictures[start : start + AT_ONCE]]
            found.append(
                model(**reads(images=some, return_tensors="pt")).pooler_output.flatten(1).double().numpy()
            )
    features_NF = np.concatenate(found)
    directions_FW, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((features_NF.shape[1], WIDTH)))
    projected: np.ndarray = features_NF @ directions_FW
    return projected


@lru_cache(maxsize=1)  # a run asks it twice of each of two models
def _encoder(ref: str) -> tuple[Any, Any]:
    import torch
    import transformers

    source = resolve(ref)
    folders.refuse_weightless(source)
    with opened(ref), quiet():
        reads = transformers.AutoImageProcessor.from_pretrained(source, trust_remote_code=False)
        if getattr(reads, "do_center_crop", None):  # of convolutions; those of patches have a size
            square = {"height": SIDE, "width": SIDE}
            reads = type(reads)(**{**reads.to_dict(), "size": {"shortest_edge": SIDE}, "crop_size": square})
        model = transformers.AutoModel.from_pretrained(
            source, dtype=torch.float32, use_safetensors=True, trust_remote_code=False
        )
    return model.eval(), reads
