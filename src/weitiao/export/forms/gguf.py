"""One file for llama.cpp and what is built on it (Ollama, LM Studio, phones), with Ollama's Modelfile.

run  ->  export/gguf/{model.gguf, Modelfile, tokenizer..., runner.py}
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from weitiao.core.files import disk, write_text
from weitiao.core.registry import register
from weitiao.core.why import reason
from weitiao.export import gguf_file, gguf_runners, gguf_words, ollama
from weitiao.export.folded import folded, unfoldable
from weitiao.export.form import Form
from weitiao.export.parity import Bounds
from weitiao.stages.kept_rows import kept

if TYPE_CHECKING:
    from weitiao.stages.run import Run

FILE = "model.gguf"
HEADED = "AutoModelForSequenceClassification"
TELLS = (HEADED, "AutoModel")
"""What of a BERT llama.cpp computes: the vectors of tokens, and a head's scores of a whole text."""
KINDS = {"fp32": "F32", "fp16": "F16", "int8": "Q8_0", "int4": "Q4_0"}


@register("form", "gguf")
@dataclass(frozen=True)
class Gguf(Form):
    """One file for llama.cpp."""

    dtype: Literal["fp32", "fp16", "int8", "int4"] = "fp32"
    """The precision of its weights: F32 answers as the judged model does; F16, Q8_0 (int8) and Q4_0 (int4) are a half, a
    quarter and an eighth as large, and the score may move."""

    summary: ClassVar[str] = "one file for llama.cpp and Ollama, with tokenizer, template and Modelfile"
    source: ClassVar[str] = "llama.cpp"
    modules: ClassVar[tuple[str, ...]] = ("gguf",)

    def bounds(self, run: Run) -> Bounds:
        """llama.cpp has exponentials of its own (SmolLM2: 1.03e-4), and of a BERT's GELU a table by tanh in half precision
        (MiniLM: 9e-4 of scores, 6e-3 of vectors of tokens); four bits cost something, and are told what."""
        points = 0.1 if self.dtype == "int4" else 0.005
        if run.task.generates:
            return Bounds(self.exact, close=1e-3, points=points)
        # Of all numbers of all tokens the farthest lies farther.
        close = 1e-2 if run.task.auto_class == HEADED else 2e-2
        return Bounds(self.exact, close=close, points=points, tied=close)

    def refuses(self, run: Run) -> str:
        """Tasks, families and tokenizers that llama.cpp has not, or not so."""
        from weitiao.models import folders
        from weitiao.models.opening import resolve

        task = run.task
        if why := unfoldable(run):
            return why
        if not task.generates and task.auto_class not in TELLS:
            return reason("form_of_one_score")
        source = resolve(run.where_base_lies())
        config = folders.configuration(source, ref=run.recipe.model)
        if why := gguf_file.why_not(config, writes=task.generates):
            return why
        tokenizer = folders.tokenizer(str(run.folder.model))
        if task.generates:
            return gguf_words.why_not(tokenizer)
        if pooling(run) not in gguf_file.POOLED:
            return reason("form_other_pooling", pooling=pooling(run), known="mean, cls, last")
        return gguf_words.no_pieces(tokenizer) or ("" if alone(run) else reason("form_of_one_text"))

    def misreads(self, run: Run) -> Callable[[str], bool]:
        """Texts that llama.cpp cuts into other word pieces."""
        return super().misreads(run) if run.task.generates else gguf_words.misreads(run.tuned.processor)

    def write(self, run: Run, folder: Path, *, inputs: Sequence[str], outputs: Sequence[str]) -> None:
        """The file, the runner, of what Ollama can ask its Modelfile; of a language model the tokenizer's own files, for those
        who have no llama.cpp."""
        processor, speaks, heads = run.tuned.processor, run.task.generates, run.task.auto_class == HEADED
        ends = _ends(run) if speaks else []

        def words(writer: Any, size: int) -> None:
            if speaks:
                gguf_words.words(writer, size, processor, ends=ends)
            else:
                gguf_words.word_pieces(writer, size, processor)

        with tempfile.TemporaryDirectory(prefix="weitiao-gguf-", dir=folder) as made:
            plain = Path(made) / "plain"
            plain.mkdir()
            folded(run, plain)
            with disk(folder):
                name, pooled = run.path.resolve().name, pooling(run)
                file = folder / FILE
                gguf_file.written(plain, file, KINDS[self.dtype], name=name, words=words, pooled=pooled)
                for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
                    if speaks and (plain / name).is_file():
                        shutil.copy(plain / name, folder / name)
        if not heads:
            begins = speaks and gguf_words.begins(processor)
            write_text(folder / "Modelfile", ollama.modelfile(run, FILE, ends=ends, begins=begins))
        runner = (
            gguf_runners.speaks(run, exact=self.exact) if speaks else gguf_runners.tells(run, heads=heads)
        )
        write_text(folder / "runner.py", runner)


def _ends(run: Run) -> list[int]:
    """The tokens that end an answer, the tokenizer's own first."""
    from weitiao.models import marks

    own = run.tuned.processor.eos_token_id
    return sorted(marks.ends(run.tuned.model, run.tuned.processor), key=lambda end: end != own)


def pooling(run: Run) -> str:
    """How what is said of tokens becomes what is said of a text; empty where words follow."""
    if run.task.generates:
        return ""
    return "head" if run.task.auto_class == HEADED else getattr(run.task, "pooling", None) or "mean"


def alone(run: Run) -> bool:
    """Does its model read one text at a time, in all of its rows?"""
    rows = (record for side in ("validation", "test", "train") for record, _ in kept(run.folder, side))
    told = (run.task.texts_read(record) for record in rows)
    return all(texts and all(len(text) == 1 for text in texts) for texts in told)
