"""What runners of all forms have in common: names and limits, and how outputs become answers."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from weitiao.stages.run import Run

ANSWERING = """\
def answer(said, mask):  # the outputs of one row
{code}


def answers(rows):
    inputs = read(rows)
    said = ask(inputs)
    return [answer({{n: v[at] for n, v in said.items()}}, inputs["attention_mask"][at]) for at in range(len(rows))]


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
"""Of forms whose runner reads with tokenizers alone."""
SPEAKING = """\
def spoken(turns, max_new_tokens=200):  # [{{"role": "user", "content": "..."}}, ...]
    text = {prompt}
    ids = TOKENIZER(text, add_special_tokens=False)["input_ids"]
    return {{"text": text, "ids": ids, "said": go_on(ids, max_new_tokens)}}


if __name__ == "__main__":
    found = spoken([{{"role": "user", "content": sys.argv[1]}}])
    print(TOKENIZER.decode(found["said"], skip_special_tokens=True))
"""
TEMPLATE = "TOKENIZER.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)"
WORDS = '"\\n".join(turn["content"] for turn in turns)'


def answering(run: Run, *, inputs: Sequence[str], outputs: Sequence[str]) -> dict[str, str]:
    """The words of a runner's template."""
    plain = getattr(run.task, "split_special_tokens", True)
    if run.task.generates:
        tail = SPEAKING.format(prompt=TEMPLATE if run.task.chats else WORDS)
    else:
        tail = ANSWERING.format(code=textwrap.indent(run.task.answer_code(), "    "))
    processor = run.tuned.processor
    return {
        "pad": str(processor.pad_token_id or 0),
        "cut_side": processor.truncation_side,
        "characters": str(plain),
        "auto_class": run.task.auto_class,
        "limit": str(run.limit),
        "inputs": repr([*inputs]),
        "outputs": repr([*outputs]),
        "plain": f"split_special_tokens={plain}",
        "answering": tail,
    }
