"""What runners of all forms have in common: names and limits, and how outputs become answers."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from weitiao.export import pictures, speech

if TYPE_CHECKING:
    from weitiao.stages.run import Run

ANSWERING = """\
def answer(said, mask):  # the outputs of one row
{code}


def answers(rows):
    inputs = read(rows)
    said, masks = ask(inputs), inputs.get("attention_mask", [None] * len(rows))
    return [answer({{n: v[at] for n, v in said.items()}}, mask) for at, mask in enumerate(masks)]


if __name__ == "__main__":
    print(json.dumps(answers([tuple(sys.argv[1:3])])[0], ensure_ascii=False))
"""

READS = """\
TOKENIZER.encode_special_tokens = $characters
TOKENIZER.enable_truncation($limit, direction="$cut_side")
TOKENIZER.enable_padding(pad_id=$pad)


def read(rows):  # [("a text",), ...] or [("a text", "its pair"), ...]
    found = TOKENIZER.encode_batch([row[0] if len(row) == 1 else tuple(row) for row in rows])
    known = {"input_ids": "ids", "attention_mask": "attention_mask", "token_type_ids": "type_ids"}
    return {name: np.array([getattr(row, known[name]) for row in found], dtype=np.int64) for name in $inputs}


"""
PICTURES = """\


def read(rows):  # [("a/picture.jpg",), ...]
    found = np.stack([pixels(row[0], RULES) for row in rows])
    known = {"pixel_values": found, "pixel_mask": np.ones(found[:, 0].shape, np.int64)}
    return {name: known[name] for name in $inputs}


"""
SPEAKING = """\
def spoken(turns, max_new_tokens=200):  # [{{"role": "user", "content": "..."}}, ...]
    text = {prompt}
    ids = TOKENIZER(text, {reads})["input_ids"]
    return {{"text": text, "ids": ids, "said": go_on(ids, max_new_tokens)}}


if __name__ == "__main__":
    found = spoken([{{"role": "user", "content": sys.argv[1]}}])
    print(TOKENIZER.decode(found["said"], skip_special_tokens=True))
"""
TEMPLATE = "TOKENIZER.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)"
WORDS = '"\\n".join(turn["content"] for turn in turns)'


@dataclass(frozen=True)
class Reader:
    """How a runner reads rows: lines of it, as templates."""

    needs: str
    """The package."""
    imports: str
    opens: str
    reads: str
    usage: str = '"a text" ["its pair"]'

    @property
    def words(self) -> dict[str, str]:
        """Those of a head's template."""
        return {name: getattr(self, name) for name in ("needs", "imports", "opens", "usage")}


OPENS = 'json.loads(Path(HERE, "{file}").read_text("utf-8"))'
TEXTS = Reader(
    "tokenizers",
    "import tokenizers",
    'TOKENIZER = tokenizers.Tokenizer.from_file(os.path.join(HERE, "tokenizer.json"))',
    READS,
)
"""With tokenizers alone."""


def reader(run: Run, *, texts: Reader = TEXTS) -> Reader:
    """How a runner reads the rows of a run; `texts`: where these are texts."""
    if not run.task.shape.pictures:
        return texts
    imports, opens = "from PIL import Image, ImageOps", f"RULES = {OPENS.format(file=pictures.RULES)}"
    return Reader("pillow", imports, opens, f"\n\n{pictures.code()}{PICTURES}", usage="picture.jpg")


def source(run: Run) -> str:
    """How a runner writes what is read by a model that writes another text."""
    task: Any = run.task
    prefix = f"{task.source_prefix!r} + " if task.source_prefix else ""
    return f'{prefix}turns[-1]["content"]'


def answering(run: Run, *, inputs: Sequence[str], outputs: Sequence[str]) -> dict[str, str]:
    """The words of a runner's template."""
    plain = f"split_special_tokens={getattr(run.task, 'split_special_tokens', True)}"
    if speech.two_sided(run):
        reads = f"truncation=True, max_length={run.limit}, {plain}"
        tail = SPEAKING.format(prompt=source(run), reads=reads)
    elif run.task.generates:
        prompt = TEMPLATE if run.task.chats else WORDS
        tail = SPEAKING.format(prompt=prompt, reads="add_special_tokens=False")
    else:
        tail = ANSWERING.format(code=textwrap.indent(run.task.answer_code(), "    "))
    processor = run.tuned.processor
    return {
        "pad": str(getattr(processor, "pad_token_id", None) or 0),
        "cut_side": getattr(processor, "truncation_side", ""),
        "characters": plain.partition("=")[2],
        "auto_class": run.task.auto_class,
        "limit": str(run.limit),
        "inputs": repr([*inputs]),
        "outputs": repr([*outputs]),
        "plain": plain,
        "answering": tail,
    }
