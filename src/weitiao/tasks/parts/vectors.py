"""What tasks share that turn every text into one vector: encoding, stacking, pooling, and the files of the tuned model.

    {"anchor": "reset password", "positive": "Click on ..."}  ->  encode   ->  Example(input_ids of both, texts [5, 9])
    Examples                                                  ->  collate  ->  Batch(ids (K, T), the shortest text first)
    model, Batch                                              ->  vectors  ->  (K, D), row after row

The texts of a batch go through the model in parts of like length, so that hardly any padding is computed.  With
`mini_batch_size` the activations of a part are given up and made again in backward: the loss is still that of the whole
batch, and so is its gradient (GradCache, Gao et al. 2021, arXiv 2101.06983).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from weitiao.core.contracts import Batch, Example, Record, Task
from weitiao.core.errors import fault
from weitiao.core.section_values import Once
from weitiao.core.why import reason
from weitiao.data.plain import plain
from weitiao.data.tokens import Tokens
from weitiao.tasks.parts import sentence_files
from weitiao.tasks.parts.apart import PART, TEXTS, each, split, stacked

if TYPE_CHECKING:
    from torch import Tensor, nn

SAMPLE = 4096  # rows tokenised at once


@dataclass(frozen=True)
class OfVectors(Task):
    """Turn a text into a vector."""

    pooling: Literal["mean", "cls", "last", "max"] | None = None
    """How the vectors of a text's tokens become one: their mean, the first token's, the last token's, or the largest of
    each number.  Default: what the base says (`1_Pooling/config.json` of sentence-transformers), else `mean`, as for
    minilm-l6 and e5-small."""
    normalize: bool | None = None
    """Are the vectors of the tuned model of length 1?  What is learnt and judged is their cosine either way.  Default: what
    the base says (`modules.json`), else yes."""
    query_prefix: str | None = None
    """What stands before every text that asks (of `similarity`: before every text), such as `query: ` (e5).  Default: the
    prompt that the base names (`config_sentence_transformers.json`), else nothing."""
    matryoshka_dims: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Once] = ()
    """Learn vectors whose first so many numbers do alone, such as `[384, 128, 32]`: the losses of all sizes are added up
    (Kusupati et al. 2022, arXiv 2205.13147).  Default: the whole vector."""
    mini_batch_size: Annotated[int, Field(ge=1)] | None = None
    """So many texts go through the model at a time, and their activations are made again in backward: large batches in
    little memory, the same gradient, about a third more time.  Default: all activations are kept."""
    split_special_tokens: bool = True
    """Are special tokens that a text spells (`</s>`) read as characters?  With `false` they become the tokens."""

    auto_class: ClassVar[str] = "AutoModel"
    peft_task_type: ClassVar[str] = "FEATURE_EXTRACTION"
    apart: ClassVar[bool] = True
    couples: ClassVar[bool] = True

    @property
    def headless(self) -> str:
        """Vectors are read off the base itself."""
        return reason("vectors_have_no_head")

    @abstractmethod
    def sides(self, values: Mapping[str, Any]) -> list[tuple[str, str]]:
        """The texts of a row, each with what stands before it; those that are not known are left out."""

    def prompts(self) -> dict[str, str]:
        """What stands before texts, by the names that sentence-transformers has for them."""
        return {"query": self.query_prefix or "", "document": self.query_prefix or ""}

    def of_base(self, file: Callable[[str], Any], *, ref: str) -> OfVectors:
        """With the base's own pooling, length and prompts, where nothing else is asked for.

        Raises:
            WeitiaoError: `foreign_vectors` where its pooling, or what it does behind it, is not built and `pooling` does not
                say what to do instead.
        """
        told = sentence_files.read(file, ref=ref) or sentence_files.Told()
        if told.foreign and self.pooling is None:
            raise fault("foreign_vectors", ref=ref, what=told.foreign, known=", ".join(sentence_files.MODES))
        found: dict[str, Any] = {
            "pooling": told.pooling,
            "normalize": told.normalize,
            **self.own_prefixes(told),
        }
        return replace(self, **{key: value for key, value in found.items() if getattr(self, key) is None})

    def own_prefixes(self, told: sentence_files.Told) -> dict[str, str]:
        """What stands before texts as the base has it, by our settings."""
        return {"query_prefix": told.usual}

    def goal(self, values: Mapping[str, Any]) -> float | None:
        """The number that a row is to give, where it is to give one."""
        return None

    @abstractmethod
    def contrast(self, vectors_KD: Tensor, batch: Batch) -> Tensor:
        """The loss, summed over the rows, of vectors of length 1."""

    def trim(self, model: nn.Module) -> None:
        """Without a pooler, and not with fewer numbers a vector than `matryoshka_dims` asks for.

        Raises:
            WeitiaoError: `wrong_value`.
        """
        from torch import nn

        if isinstance(getattr(model, "pooler", None), nn.Module):
            model.pooler = None  # type: ignore[assignment]
        width = int(model.config.hidden_size)  # type: ignore[union-attr, arg-type]
        if (most := max(self.matryoshka_dims, default=0)) > width:
            why = reason("vector_is_shorter", width=width)
            raise fault("wrong_value", key="task.matryoshka_dims", value=most, why=why)

    def encode(self, records: Iterable[Record], processor: Any, *, limit: int) -> Iterator[Example]:
        """Ids of every text with the model's special tokens, one behind the other; the end of a long one is cut."""
        records, tokens = iter(records), Tokens(processor, plain=self.split_special_tokens)
        read = plain(processor) if self.split_special_tokens else processor
        while part := list(islice(records, SAMPLE)):
            sides = [self.sides(record.values) for record in part]
            found = iter(tokens.whole([before + text for row in sides for before, text in row]))
            for record, row in zip(part, sides, strict=True):
                ids: list[list[int]] = []
                lost = 0
                for (before, text), whole in zip(row, islice(found, len(row)), strict=True):
                    over = max(0, len(whole) - limit)
                    if over and limit <= processor.num_special_tokens_to_add():
                        ids = []
                        break
                    short = tokens.cut(whole, limit) if over else whole
                    if short is None:
                        short = read(before + text, truncation=True, max_length=limit)["input_ids"]
                    ids.append(short)
                    lost += over
                if not ids:
                    yield Example({}, refused=reason("no_word_left", length=len(whole), limit=limit))
                    continue
                inputs = {"input_ids": [each for text in ids for each in text], TEXTS: [*map(len, ids)]}
                yield Example(inputs, target=self.goal(record.values), tokens_lost=lost)

    def collate(self, examples: Sequence[Example], rows: Sequence[int], processor: Any) -> Batch:
        """Right-padded ids and mask (K, T) of all texts, by length; where each text of the rows is among them (K,)."""
        import torch

        texts = [text for example in examples for text in split(example)]
        numbers: dict[bytes, int] = {}
        equal = [numbers.setdefault(text.tobytes(), len(numbers)) for text in texts]
        inputs, extra, padding = stacked(
            examples, processor.pad_token_id or 0, part=self.mini_batch_size or PART
        )
        goals = [example.target for example in examples]
        return Batch(
            inputs,
            None if None in goals else torch.tensor(goals),
            trained=len(examples),
            rows=list(rows),
            tokens=sum(map(len, texts)),
            padding=padding,
            extra={**extra, "equal": torch.tensor(equal)},
        )

    def vectors(self, model: nn.Module, batch: Batch) -> Tensor:
        """One vector a text (K, D), float32, in the order of the rows."""
        import torch
        from torch.utils.checkpoint import checkpoint

        again = self.mini_batch_size is not None and torch.is_grad_enabled()
        found = [
            checkpoint(self._pooled, model, part, use_reentrant=False) if again else self._pooled(model, part)
            for part in each(batch.inputs, batch.extra["parts"])
        ]
        return torch.cat(found)[batch.extra["place"].to(found[0].device)]

    def _pooled(self, model: nn.Module, inputs: Mapping[str, Tensor]) -> Tensor:
        import torch

        hidden_KTD = model(**inputs)[0]
        hidden_KTD = hidden_KTD.to(torch.promote_types(hidden_KTD.dtype, torch.float32))
        mask_KT = inputs["attention_mask"]
        # A method may have put vectors before a row.
        hidden_KTD = hidden_KTD[:, hidden_KTD.shape[1] - mask_KT.shape[1] :]
        if self.pooling == "cls":
            return hidden_KTD[:, 0]
        if self.pooling == "last":
            ends_K = mask_KT.sum(1) - 1
            return hidden_KTD[range(len(ends_K)), ends_K]
        if self.pooling == "max":
            return hidden_KTD.masked_fill(mask_KT[..., None] == 0, -float("inf")).amax(1)
        return (hidden_KTD * mask_KT[..., None]).sum(1) / mask_KT.sum(1, keepdim=True)

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """What `contrast` says, summed over the sizes."""
        import torch
        from torch.nn import functional as F

        vectors_KD = self.vectors(model, batch)
        sizes = self.matryoshka_dims or (vectors_KD.shape[1],)
        return torch.stack(
            [self.contrast(F.normalize(vectors_KD[:, :size], dim=-1), batch) for size in sizes]
        ).sum()

    def predict(self, model: nn.Module, batch: Batch) -> list[dict[str, Any]]:
        """The vectors of each row's texts, an array (texts, D)."""
        from torch.nn import functional as F

        vectors_KD = self.vectors(model, batch)
        if self.normalize is not False:
            vectors_KD = F.normalize(vectors_KD, dim=-1)
        return [{"vectors": each.detach().cpu().numpy()} for each in vectors_KD.split(batch.extra["counts"])]

    def of_logits(self) -> str:
        """By sentence-transformers, which reads the folder's own files."""
        return "# or, pooled: sentence_transformers.SentenceTransformer(THE_SAME_FOLDER).encode([...])"

    def texts_read(self, record: Record) -> list[tuple[str, ...]]:
        """Every text, behind what stands before it."""
        return [(before + text,) for before, text in self.sides(record.values)]

    def answer_code(self) -> str:
        """One vector of those of the tokens."""
        pooled = {
            "cls": "rows[0]",
            "last": "rows[mask.sum() - 1]",
            "max": "rows[mask == 1].max(0)",
            "mean": "(rows * mask[:, None]).sum(0) / mask.sum()",
        }
        unit = "" if self.normalize is False else " / max(np.linalg.norm(vector), 1e-12)"
        return (
            'rows = said["last_hidden_state"]\n'
            f"vector = {pooled[self.pooling or 'mean']}\n"
            f'return {{"vectors": (vector{unit}).tolist()}}'
        )

    def files(self, model: nn.Module, *, limit: int) -> dict[str, Any]:
        """What sentence-transformers reads: its modules, how vectors are pooled, the longest text, and the prefixes."""
        return sentence_files.written(
            self.pooling or "mean",
            normalize=self.normalize is not False,
            prompts=self.prompts(),
            width=int(model.config.hidden_size),  # type: ignore[union-attr, arg-type]
            limit=limit,
        )


def unit(vectors: Any) -> Any:
    """Rows of length 1."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
