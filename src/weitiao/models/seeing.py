"""Models that read pictures among words (LLaVA, Qwen-VL, Idefics, Gemma 3): which these are, and how they are opened.

auto(config, task)     the Auto class by which a base is opened for a task
packs(config, task)    may its rows lie end to end?
reader(source)         processor and tokenizer as one (`data.chat.Seeing`)
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from weitiao.core.contracts import Task
from weitiao.data.chat import Seeing

FILES = ("processor_config.json", "preprocessor_config.json")
"""One of these lies in the folder of a model that has a processor."""
VIDEOS = "video_preprocessor_config.json"


def sees(config: Any) -> bool:
    """Does a model of this configuration read pictures where a token of its own stands among the words?"""
    import transformers

    asked = getattr(config, "image_token_id", None) is not None and not config.is_encoder_decoder
    if not asked or type(config) not in transformers.AutoModelForImageTextToText._model_mapping:
        return False
    # Where a family can be opened for words alone, only what lies beside its weights says what it is for.
    alone = type(config) in transformers.AutoModelForCausalLM._model_mapping
    return not alone or any(_file(config._name_or_path, name) for name in FILES)


def auto(config: Any, task: Task) -> str:
    """The Auto class by which a base is opened for a task."""
    return task.seeing_class if task.seeing_class and sees(config) else task.auto_class


def packs(config: Any, task: Task) -> bool:
    """May rows of a task lie end to end?  Pictures that stand among them say of no token which row it is of."""
    return task.packs and not (task.seeing_class and sees(config))


def reader(source: str) -> Seeing:
    """What makes rows of words and pictures ready for the model of a folder or hub id.

    Raises:
        ValueError: it cannot say what stands for a picture.
    """
    import transformers
    from transformers.utils import is_torchvision_available

    if is_torchvision_available():
        return Seeing(transformers.AutoProcessor.from_pretrained(source, trust_remote_code=False))
    kind = _without_videos(source)
    return Seeing(kind.from_pretrained(source, trust_remote_code=False), _of_videos(source))


def _without_videos(source: str) -> Any:
    """Transformers' class for a folder's processor, as one that reads no videos: their part needs torchvision."""
    import transformers
    from transformers.models.auto.processing_auto import PROCESSOR_MAPPING_NAMES

    said = [found for name in (*FILES, "tokenizer_config.json") if (found := _file(source, name))]
    config = transformers.AutoConfig.from_pretrained(source, trust_remote_code=False)
    named = next((each["processor_class"] for each in said if each.get("processor_class")), "")
    whole = getattr(transformers, named or PROCESSOR_MAPPING_NAMES[config.model_type])
    parts = [name for name in whole.get_attributes() if "video" not in name]
    return type(whole.__name__, (whole,), {"get_attributes": classmethod(lambda _: parts)})


def _of_videos(source: str) -> dict[str, Any]:
    """What a folder says of how videos are read, to be kept beside the tuned model."""
    whole = _file(source, FILES[0])
    found = _file(source, VIDEOS) or (whole.get("video_processor") if whole else None)
    return {VIDEOS: found} if found else {}


@lru_cache(maxsize=64)
def _file(source: str, name: str) -> dict[str, Any] | None:
    from transformers.utils import cached_file

    words = {"_raise_exceptions_for_missing_entries": False, "_raise_exceptions_for_connection_errors": False}
    path = cached_file(source, name, **words) if source else None
    found = json.loads(Path(path).read_text(encoding="utf-8")) if path else None
    return found if isinstance(found, dict) else None
