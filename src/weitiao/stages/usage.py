"""How a tuned model is used: on the command line, from Python, and without weitiao."""

from __future__ import annotations

import json

from weitiao.core.contracts import OURS
from weitiao.core.why import reason
from weitiao.data.chat import Seeing
from weitiao.data.overlong import FITTED
from weitiao.models import seeing
from weitiao.stages.asking import read_of
from weitiao.stages.run import Run


def usage(run: Run) -> list[dict[str, str]]:
    """Ways to use it, each a `title` and `code` to copy."""
    path, base = run.path / run.variant, run.tuned.source
    home = path if run.variant else path / "model"
    auto = seeing.auto(getattr(run.tuned.model, "config", None), run.task)
    options = run.task.model_options()
    if run.task.chats:
        line, call = f"weitiao chat {path}", 'run.answer([{"role": "user", "content": "..."}])'
    else:
        # A text or a picture's file, or a row where that is not enough.
        columns, one = read_of(run), "..." if run.task.reads_words or run.task.paints else "picture.png"
        row = json.dumps(one if len(columns) < 2 else dict.fromkeys(columns, one))
        said = row if len(columns) < 2 else f"'{row}'"
        line, call = f"weitiao predict {path} {said}", f"run.predict([{row}])"
    if run.task.retrieves:
        line = f'weitiao retrieve {path} "..."\n{line}'
        call = 'wt.retrieve(run, "...")'
    python = f'import weitiao as wt\n\nrun = wt.load("{path}")\nprint({call})'
    reads = f"\n\n{said}" if (said := run.task.of_logits()) else ""
    if run.recipe.data.overlong in FITTED:
        reads += f"\n# of rows longer than {run.limit} tokens weitiao reads more (data.overlong: {run.recipe.data.overlong})"
    ways = [{"title": reason("on_the_command_line"), "code": line}, {"title": "Python", "code": python}]
    kind = None if run.variant else run.folder.json("model/adapter_config.json").get("peft_type")
    sees = isinstance(run.tuned.processor, Seeing)
    reader = "AutoProcessor" if sees else run.task.processor_class
    opened = f'{"tokenizer" if run.task.reads_words and not sees else "processor"} = {reader}.from_pretrained("{home}")'
    if library := run.task.library:
        code = library.without_us(str(home), str(base), adapter=kind is not None)
        ways += [{"title": reason("without_us", by="diffusers"), "code": code}] if kind != OURS else []
    elif kind is None:
        without = (
            f"from transformers import {auto}, {reader}\n\n"
            f'model = {auto}.from_pretrained("{home}")\n{opened}{reads}'
        )
        ways += [{"title": reason("without_us", by="Transformers"), "code": without}]
    elif kind != OURS:
        extra = f", num_labels={options['num_labels']}" if options else ""
        note = "# in full precision; it was tuned in 4 bits, so scores differ a little\n" * (
            run.method.base_bits == 4
        )
        # The base's own settings may stop at fewer tokens than the answers that were learnt end with.
        more = ", GenerationConfig" * run.task.generates
        ends = (
            f'model.generation_config = GenerationConfig.from_pretrained("{path}/model")\n'
            * run.task.generates
        )
        without = (
            f"from peft import PeftModel\nfrom transformers import {auto}, {reader}{more}\n\n{note}"
            f'base = {auto}.from_pretrained("{base}"{extra})\n'
            f'model = PeftModel.from_pretrained(base, "{path}/model")\n{ends}{opened}{reads}'
        )
        ways += [{"title": reason("without_us", by="PEFT"), "code": without}]
    if kind is not None and run.method.foldable:
        ways += [{"title": reason("one_plain_model"), "code": f"weitiao merge {path} -o {path}/merged"}]
    return ways
