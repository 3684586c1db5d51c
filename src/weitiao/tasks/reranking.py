"""Reranking: how well each passage suits a query, read together with it (a cross-encoder; Nogueira & Cho 2019, arXiv 1901.04085).

    {"query": "reset password", "passages": ["Our shop ...", "Click on ..."]}
        ->  {"passage": "Click on ...", "score": 0.97, "ranking": [{"passage": "Click on ...", "score": 0.97}, ...]}

The model reads `query [SEP] passage` and has one output z; a score is sigmoid(z), as sentence-transformers' CrossEncoder has it.

    bce      of each pair    -(w s log sigmoid(z) + (1 - s) log(1 - sigmoid(z)))       s its score, w `pos_weight`
    listnet  of each query   -sum over its passages of softmax(s) log softmax(z)       Cao et al. 2007, ICML, 129-136
    softmax  of each query   the same with s / sum(s) in place of softmax(s): with one right passage -log softmax(z) of it
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from weitiao.core.contracts import Batch, Example, Record, Shape, Target, Task, chosen_targets
from weitiao.core.errors import fault
from weitiao.core.registry import register
from weitiao.core.why import reason
from weitiao.data.candidates import drawn, joined
from weitiao.data.formats.ranked import as_list
from weitiao.data.passages import ranked
from weitiao.data.plain import plain
from weitiao.data.shapes import RANKED
from weitiao.tasks.parts import passes
from weitiao.tasks.parts.apart import TEXTS, outputs, split, stacked
from weitiao.tasks.parts.apart import windows as passes_apart

if TYPE_CHECKING:
    from torch import Tensor, nn

SAMPLE = 256
"""Queries whose pairs are tokenised at once."""


@register("task", "reranking")
@dataclass(frozen=True)
class Reranking(Task):
    """Which passages suit a query best?"""

    loss_type: Literal["bce", "listnet", "softmax"] = "bce"
    """What is made small: `bce` (each pair by itself; scores from 0 to 1), or of all passages of a query together `listnet`
    (any scores) or `softmax` (the right ones against the others; a query without both teaches nothing)."""
    pos_weight: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    """How many times a right pair counts (`bce`): where a query has many wrong passages, about as many as these."""
    negatives: Literal["bm25", "random", "none"] = "bm25"
    """Where a query has right passages alone, which ones of other queries on its side (training, validation, test) are its
    wrong ones: those that share most words with it, any, or none."""
    num_negatives: Annotated[int, Field(ge=1)] = 4
    """So many of them in training."""
    eval_num_negatives: Annotated[int, Field(ge=1)] = 20
    """So many of them where the model is judged."""
    list_size: Annotated[int, Field(ge=1)] = 32
    """Passages of a query in one training example, at most, where they come in several rows: further ones make further
    examples."""
    split_special_tokens: bool = True
    """Are special tokens that a text spells (`</s>`) read as characters?  With `false` they become the tokens."""

    summary: ClassVar[str] = (
        "how well each passage suits a query (cross-encoder, the second step of a search)"
    )
    shape: ClassVar[Shape] = RANKED
    auto_class: ClassVar[str] = "AutoModelForSequenceClassification"
    peft_task_type: ClassVar[str] = "SEQ_CLS"
    predicts: ClassVar[tuple[str, ...]] = ("ranks", "gains", "loss", "tokens")
    metrics: ClassVar[tuple[str, ...]] = ("ndcg_at_10", "mrr_at_10", "map")
    baselines: ClassVar[tuple[str, ...]] = ("bm25",)
    apart: ClassVar[bool] = True
    overlong: ClassVar[tuple[str, ...]] = ("windows",)
    training_only: ClassVar[tuple[str, ...]] = (
        "pos_weight",
        "negatives",
        "num_negatives",
        "eval_num_negatives",
        "list_size",
    )

    # ------------------------------------------------------------------ what is learnt from

    def learn(self, records: Sequence[Record]) -> Reranking:
        """Nothing; a look at the scores.

        Raises:
            WeitiaoError: `no_right_passage`, `no_wrong_passage`; `score_no_probability` for `bce`.
        """
        right = wrong = False
        for record in records:
            for score in record.values["scores"]:
                right, wrong = right or score > 0, wrong or score <= 0
                if self.loss_type == "bce" and not 0 <= score <= 1:
                    raise fault("score_no_probability", place=record.place, score=f"{score:g}")
        if not right and len(records):
            raise fault("no_right_passage", rows=len(records))
        if not wrong and self.negatives == "none" and len(records):
            raise fault("no_wrong_passage", rows=len(records))
        return self

    def gathered(self, records: Sequence[Record], *, trains: bool, seed: int) -> Iterator[tuple[int, Record]]:
        """One row a query, with wrong passages beside right ones that stand alone."""
        rows = joined(records, most=self.list_size if trains else None)
        if self.negatives == "none":
            return rows
        count = self.num_negatives if trains else self.eval_num_negatives
        return drawn(list(rows), count=count, how=self.negatives, seed=seed)

    def model_options(self) -> dict[str, Any]:
        """One output."""
        return {"num_labels": 1}

    def of_logits(self) -> str:
        """By sentence-transformers, or as it has the scores."""
        return (
            "# sentence_transformers.CrossEncoder(THE_SAME_FOLDER).predict([(query, passage)]), or\n"
            'score = model(**tokenizer("...", "...", return_tensors="pt")).logits.sigmoid().item()  # query and passage'
        )

    def texts_read(self, record: Record) -> list[tuple[str, ...]]:
        """Every pair."""
        return [(record.values["query"], text) for text in passages(record)]

    def answer_code(self) -> str:
        """How well the passage suits."""
        return 'return {"scores_of": float(1 / (1 + np.exp(-said["logits"][0])))}'

    # ------------------------------------------------------------------ rows to examples

    def encode(self, records: Iterable[Record], processor: Any, *, limit: int) -> Iterator[Example]:
        """Every pair with the model's special tokens, one behind the other; of one that is too long the end of the longer
        text is cut."""
        records = iter(records)
        read = plain(processor) if self.split_special_tokens else processor
        least = processor.num_special_tokens_to_add(pair=True)
        while part := list(islice(records, SAMPLE)):
            pairs = [[(row.values["query"], text) for text in passages(row)] for row in part]
            flat = [list(pair) for own in pairs for pair in own]
            found = read(flat, truncation=False, verbose=False, return_attention_mask=False) if flat else {}
            place = 0
            for record, own in zip(part, pairs, strict=True):
                inputs: dict[str, list[int]] = {name: [] for name in found}
                sizes, lost = list[int](), 0
                for pair in own:
                    row = {name: found[name][place] for name in found}
                    place += 1
                    if (over := len(row["input_ids"]) - limit) > 0:
                        lost += over
                        row = {} if limit <= least else read(*pair, truncation=True, max_length=limit)
                    for name in inputs:
                        inputs[name] += row.get(name, [])
                    sizes.append(len(row.get("input_ids", ())))
                if not all(sizes) or not sizes:
                    why = (
                        reason("no_word_left", length=lost + limit, limit=limit)
                        if sizes
                        else reason("no_passage")
                    )
                    yield Example({}, refused=why)
                    continue
                scores = record.values.get("scores")
                yield Example(
                    {**inputs, TEXTS: sizes},
                    target=None if scores is None else [float(score) for score in scores],
                    trained=self._trained(scores, len(own)),
                    tokens_lost=lost,
                )

    def fitted(
        self, record: Record, whole: Example, processor: Any, *, limit: int, overlong: str, max_windows: int
    ) -> Example:
        """Every pair in windows of its longer text, mostly the passage, beside the whole of the shorter."""
        read = plain(processor) if self.split_special_tokens else processor
        query = read(record.values["query"], add_special_tokens=False, verbose=False)["input_ids"]
        words: dict[str, Any] = {"first": len(query), "overlong": overlong, "max_windows": max_windows}
        sides = {name: split(whole, name) for name in whole.inputs if name != TEXTS}
        found = []
        for place in range(len(whole.inputs[TEXTS])):
            pair = Example({name: own[place].tolist() for name, own in sides.items()})
            found.append(passes.fitted(pair, processor, limit=limit, **words))
            if found[-1].refused:
                return found[-1]
        names = [*sides, passes.SIZES]
        inputs = {name: [value for one in found for value in one.inputs[name]] for name in names}
        inputs[TEXTS] = [len(one) for one in found]
        return replace(whole, inputs=inputs, tokens_lost=sum(one.tokens_lost for one in found))

    def _trained(self, scores: Sequence[float] | None, pairs: int) -> int:
        """Pairs; or queries, where those have something to learn."""
        if scores is None or self.loss_type == "bce":
            return pairs
        if self.loss_type == "listnet":
            return int(pairs > 1)
        return int(max(scores) > 0 >= min(scores))

    def collate(self, examples: Sequence[Example], rows: Sequence[int], processor: Any) -> Batch:
        """Right-padded ids and mask (K, T) of all pairs, by length; their scores (K,) in the order of the rows."""
        import torch

        read = [passes_apart(example) for example in examples]
        inputs, extra, padding = stacked([one for one, _ in read], processor.pad_token_id or 0)
        extra["counts"] = [len(example.inputs[TEXTS]) for example in examples]
        extra[passes.SIZES] = [count for _, counts in read for count in counts]
        known = all(example.target is not None for example in examples)
        return Batch(
            inputs,
            torch.tensor([score for one in examples for score in one.target]) if known else None,
            trained=sum(example.trained for example in examples),
            rows=list(rows),
            tokens=sum(map(len, examples)),
            padding=padding,
            extra=extra,
        )

    # ------------------------------------------------------------------ examples to scores

    def logits(self, model: nn.Module, batch: Batch) -> Tensor:
        """The output of every pair (K,), at least float32, in the order of the rows; of one in windows that of the best."""
        found = outputs(model, batch)
        return passes.pooled(found[:, None], batch.extra[passes.SIZES], how="max")[:, 0]

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """What `loss_type` says, summed over pairs, or over queries."""
        return self._losses(self.logits(model, batch), batch).sum()

    def _losses(self, logits_K: Tensor, batch: Batch) -> Tensor:
        """Of each row (B,)."""
        import torch
        from torch.nn import functional as F

        target_K = batch.target.to(logits_K.dtype)
        counts = batch.extra["counts"]
        if self.loss_type == "bce":
            weight = logits_K.new_tensor(self.pos_weight)
            losses_K = F.binary_cross_entropy_with_logits(
                logits_K, target_K, pos_weight=weight, reduction="none"
            )
            return torch.stack([own.sum() for own in losses_K.split(counts)])
        found = []
        for logits_M, scores_M in zip(logits_K.split(counts), target_K.split(counts), strict=True):
            if self.loss_type == "listnet":
                goal_M = scores_M.softmax(0)
            else:
                goal_M = scores_M.clamp(min=0)
                goal_M = goal_M / goal_M.sum().clamp(min=torch.finfo(goal_M.dtype).tiny)
            found.append(-(goal_M * logits_M.log_softmax(0)).sum())
        return torch.stack(found)

    def predict(self, model: nn.Module, batch: Batch) -> list[dict[str, Any]]:
        """The score of each passage of a row; where it is known which are right, their ranks, what each is worth, and the
        loss."""
        logits_K = self.logits(model, batch).double()
        counts = batch.extra["counts"]
        losses = [] if batch.target is None else self._losses(logits_K, batch).tolist()
        found = []
        for row, own_M in enumerate(logits_K.split(counts)):
            told: dict[str, Any] = {"scores_of": own_M.sigmoid().tolist()}
            if losses:
                gains = batch.target.split(counts)[row].tolist()
                told |= ranked(own_M.tolist(), gains)
                told |= {"loss": losses[row], "tokens": self._trained(gains, len(gains))}
            found.append(told)
        return found

    def reference(self, record: Record) -> dict[str, Any]:
        """Query, passages, and how well each suits."""
        return {name: record.values[name] for name in RANKED.columns}

    def shown(self, record: Record, prediction: Mapping[str, Any]) -> dict[str, Any]:
        """The passages of a row that was asked, the best first; of a row that was judged, what it was judged by."""
        if "ranks" in prediction:
            return dict(prediction)
        scores = prediction["scores_of"]
        order = sorted(range(len(scores)), key=lambda place: -scores[place])
        texts = passages(record)
        ranking = [{"passage": texts[place], "score": scores[place]} for place in order]
        return {**ranking[0], "ranking": ranking}

    def explains(
        self, record: Record, prediction: Mapping[str, Any], *, asked: Sequence[str] = ()
    ) -> list[Target]:
        """The output of a single pair.

        Raises:
            WeitiaoError: `ranking_unexplained` for a row of several passages.
        """
        if (count := len(passages(record))) != 1:
            raise fault("ranking_unexplained", count=count)
        return chosen_targets([Target("score", "logit")], asked)

    def target_scores(self, model: nn.Module, batch: Batch, target: Target) -> Tensor:
        """The output of each row's only pair (B,)."""
        return self.logits(model, batch)

    def record(self, text: str) -> dict[str, Any]:
        """A query; its passages must come with it."""
        return {"query": text, "passages": [], "scores": None}


def passages(record: Record) -> list[str]:
    """The passages of a row; of one that is asked a single one may stand for a list of one."""
    return as_list(record.values["passages"], "passages")
