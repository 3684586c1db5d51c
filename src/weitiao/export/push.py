"""A written form goes to a hub, with the card of its model.

ready("owner/name")          raises before anything slow: the name, the network, who is asked
push(exported, "owner/name") ->  its address
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from weitiao.core.errors import fault
from weitiao.core.why import because

if TYPE_CHECKING:
    from weitiao.export.writing import Exported
    from weitiao.stages.run import Run

NAME = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")
CARD = "README.md"


def _hub() -> Any:
    from huggingface_hub import HfApi

    return HfApi(endpoint=os.environ.get("HF_ENDPOINT"))


@contextmanager
def _told(name: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # of the hub, or of the network library beneath it, which changes
        lines = [line for line in str(error).strip().splitlines() if line.strip()]
        raise fault("not_pushed", name=name, why=(lines or [type(error).__name__])[0]) from error


def ready(name: str) -> None:
    """Can something be put there?

    Raises:
        WeitiaoError: `wrong_usage` for what is no name; `not_pushed` where the hub cannot be reached, or knows no token.
    """
    if not NAME.fullmatch(name):
        raise fault("wrong_usage", **because("no_name_on_a_hub", name=name))
    with _told(name):
        _hub().whoami()


def push(run: Run, form: Exported, name: str) -> str:
    """Put a form's folder on the hub, as a repository of its own that is made if it is not there.

    Args:
        run: whose model.
        form: written, and verified.
        name: owner/name.

    Returns:
        Its address.

    Raises:
        WeitiaoError: `not_pushed`.
    """
    card = run.folder.model / CARD
    with _told(name):
        hub = _hub()
        hub.create_repo(name, exist_ok=True)
        if card.is_file():
            hub.upload_file(path_or_fileobj=card.read_bytes(), path_in_repo=CARD, repo_id=name)
        hub.upload_folder(folder_path=form.path, repo_id=name, commit_message=form.path.name)
        return f"{hub.endpoint}/{name}"
