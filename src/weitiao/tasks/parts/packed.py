"""Rows of tokens and the loss of those that are learnt: what language tasks share.

    [Example(input_ids, labels)]  ->  pack     ->  Batch(ids (1, T), positions (1, T), targets (N,))  ->  token_losses (N,)
                                      collate  ->  Batch(ids (B, T), mask (B, T), targets (N,))

End to end, positions that start again at 0 keep attention inside each row (`models.attention`; Transformers' own
attention derives a mask from them), and logits are computed at the learnt positions only.  Models that would mix such
rows up (`models.examine`) get them filled up on the right.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from weitiao.core.contracts import BOUNDS, PARENTS, Batch, Categorical, Example, Record, Target, Task
from weitiao.data.chat import IGNORE, Prompt, Seeing
from weitiao.data.chat.seeing import OF_TOKENS, PICTURES, as_paths
from weitiao.data.shared import grown

if TYPE_CHECKING:
    from torch import Tensor, nn

    from weitiao.models.output_loss import Formula


class Writing(Task):
    """A task of a language model that is asked for words, whatever its loss."""

    auto_class: ClassVar[str] = "AutoModelForCausalLM"
    peft_task_type: ClassVar[str] = "CAUSAL_LM"
    packs: ClassVar[bool] = True
    generates: ClassVar[bool] = True

    def target_scores(self, model: nn.Module, batch: Batch, target: Target) -> Tensor:
        """As `learnt_scores`."""
        return learnt_scores(model, batch, target)

    def text_bytes(self, example: Example, processor: Any) -> int:
        """Those of the learnt tokens, without end tokens and the like."""
        learnt = [token for token in example.inputs["labels"] if token != IGNORE]
        return len(processor.decode(learnt, skip_special_tokens=True).encode())

    def answer(
        self, loaded: Any, prompts: Sequence[Sequence[int]], **asked: Any
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        """Words up to an end token, many prompts at a time where the model is measured to allow it."""
        return answers(loaded, prompts, **asked)


class PackedTask(Writing, Categorical):
    """A language task: what it learns is for a subclass to encode, the rest is the same."""

    predicts: ClassVar[tuple[str, ...]] = ("loss", "tokens")
    metrics: ClassVar[tuple[str, ...]] = ("perplexity", "loss")
    overlong: ClassVar[tuple[str, ...]] = ("split",)

    def windows(self, record: Record, whole: Example, processor: Any, *, limit: int) -> list[Example]:
        """The row in consecutive pieces; none of one that shows pictures, which later pieces would not see."""
        inputs = whole.inputs
        if len(inputs.get(PICTURES, ())):
            return []
        parts = windows(inputs["input_ids"], inputs["labels"], limit=limit)
        names = [name for name in OF_TOKENS if name in inputs]
        more = {PICTURES: inputs[PICTURES]} if PICTURES in inputs else {}
        return [
            replace(part, inputs={**part.inputs, **{name: [0] * len(part) for name in names}, **more})
            for part in parts
        ]

    def collate(self, examples: Sequence[Example], rows: Sequence[int], processor: Any) -> Batch:
        """The rows filled up on the right."""
        batch = collate(examples, rows, padding=processor.pad_token_id or 0)
        return shown(batch, examples, processor) if isinstance(processor, Seeing) else batch

    def pack(self, examples: Sequence[Example], rows: Sequence[int], *, shared: bool = False) -> Batch:
        """The rows end to end."""
        return pack(examples, rows, shared=shared)

    def loss(self, model: nn.Module, batch: Batch, *, label_smoothing: float = 0.0) -> Tensor:
        """Cross-entropy, summed over the learnt tokens."""
        return token_losses(model, batch, label_smoothing=label_smoothing).sum()

    def logits(self, model: nn.Module, batch: Batch) -> Tensor:
        """Scores of every learnt token (N, V)."""
        return token_logits(model, batch)

    def losses(self, logits_NC: Tensor, batch: Batch, *, label_smoothing: float = 0.0) -> Tensor:
        """Cross-entropy of every learnt token (N,)."""
        return _cross_entropy(logits_NC, batch, label_smoothing=label_smoothing)

    def predict(self, model: nn.Module, batch: Batch) -> list[dict[str, Any]]:
        """Summed loss and number of learnt tokens of each row."""
        return row_losses(model, batch)


def cut(ids: Sequence[int], labels: Sequence[int], *, limit: int) -> Example:
    """The first `limit` tokens of a row, and what is lost with the others."""
    trained, lost = labels[:limit], labels[limit:]
    return Example(
        {"input_ids": ids[:limit], "labels": trained},
        trained=len(trained) - trained.count(IGNORE),
        tokens_lost=len(lost),
        trained_lost=len(lost) - lost.count(IGNORE),
    )


def windows(ids: Sequence[int], labels: Sequence[int], *, limit: int) -> list[Example]:
    """All tokens of a row in examples of at most `limit`; each goes on where the one before it ended.

    The last token of a window opens the next one, as what its first learnt token is predicted from: so every learnt
    token is learnt exactly once.  Windows in which nothing is learnt are left out.
    """
    found = []
    for start in range(0, max(1, len(ids) - 1), limit - 1):
        part = list(labels[start : start + limit])
        part[0] = IGNORE
        example = cut(ids[start : start + limit], part, limit=limit)
        found += [example] if example.trained else []
    return found


def pack(examples: Sequence[Example], rows: Sequence[int], *, shared: bool = False) -> Batch:
    """The rows end to end: ids (1, T), positions (1, T); targets (N,) and where they are predicted from (N,).

    Args:
        examples: rows.
        rows: their indices.
        shared: does what rows begin with stand once (`data.shared`)?  Every row has its own targets all the same.
    """
    import torch

    sizes_B, ids_N, labels_N = _flat(examples)
    starts = np.cumsum(sizes_B) - sizes_B
    tree = grown(np.split(ids_N, starts[1:])) if shared else None
    if tree is None or max(tree.parents) < 0:
        ids_T, positions_T, places_N = (
            ids_N,
            np.arange(len(ids_N)) - np.repeat(starts, sizes_B),
            np.arange(len(ids_N)),
        )
        inputs = {BOUNDS: torch.from_numpy(np.append(starts, len(ids_N)))}
    else:
        ids_T, positions_T, places_N = np.concatenate(tree.ids), tree.positions(), tree.places(len(sizes_B))
        inputs = {BOUNDS: torch.from_numpy(tree.bounds), PARENTS: torch.tensor(tree.parents)}
    inputs["input_ids"] = torch.from_numpy(ids_T)[None]
    inputs["position_ids"] = torch.from_numpy(positions_T)[None]
    return _batch(inputs, labels_N, places_N, rows, sizes_B)


def collate(examples: Sequence[Example], rows: Sequence[int], *, padding: int) -> Batch:
    """The rows filled up with `padding`: ids (B, T), mask (B, T); targets (N,), and places (N,) in B x T laid flat."""
    import torch

    sizes_B, ids_N, labels_N = _flat(examples)
    real_BT = np.arange(sizes_B.max()) < sizes_B[:, None]
    ids_BT = np.full(real_BT.shape, padding)
    ids_BT[real_BT] = ids_N
    inputs = {
        "input_ids": torch.from_numpy(ids_BT),
        "attention_mask": torch.from_numpy(real_BT.astype(np.int64)),
    }
    return _batch(inputs, labels_N, np.flatnonzero(real_BT), rows, sizes_B)


def shown(batch: Batch, examples: Sequence[Example], processor: Seeing) -> Batch:
    """A padded batch with what its model reads of the pictures among the words of its rows.

    Raises:
        WeitiaoError: `picture_gone` for one that was there when the rows were checked.
    """
    from weitiao.data.pack import pad

    for name in OF_TOKENS:
        if name in examples[0].inputs:
            batch.inputs[name] = pad([example.inputs[name] for example in examples], 0)
    paths = [path for example in examples for path in as_paths(example.inputs.get(PICTURES, ()))]
    if paths:
        batch.inputs |= processor.pixels(paths)
    return batch


def _flat(examples: Sequence[Example]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lengths of the rows, and all their ids and labels."""
    ids, labels = (
        np.concatenate([np.asarray(example.inputs[name], dtype=np.int64) for example in examples])
        for name in ("input_ids", "labels")
    )
    return np.array([len(example) for example in examples]), ids, labels


def _batch(
    inputs: dict[str, Any], labels_N: np.ndarray, places_N: np.ndarray, rows: Sequence[int], sizes: np.ndarray
) -> Batch:
    """With what is learnt: each token's place among the inputs' is known, and it is predicted at the one before it."""
    import torch

    learnt = np.flatnonzero(labels_N != IGNORE)
    inputs["logits_to_keep"] = torch.from_numpy(places_N[learnt - 1])
    owner = torch.from_numpy(np.repeat(np.arange(len(sizes)), sizes)[learnt])
    extra = {"owner": owner, "rows": len(sizes)}
    targets = torch.from_numpy(labels_N[learnt])
    more = inputs["input_ids"].numel() - len(labels_N)
    counts = {"tokens": len(labels_N), "padding": max(more, 0), "shared": max(-more, 0)}
    return Batch(inputs, targets, len(learnt), list(rows), **counts, extra=extra)


def token_losses(
    model: nn.Module, batch: Batch, *, label_smoothing: float = 0.0, temperature: float = 1.0
) -> Tensor:
    """Cross-entropy of every learnt token (N,), of scores that are divided by `temperature`."""
    from weitiao.models import output_loss

    words = {} if temperature == 1 else {"temperature": temperature}
    # Smoothing looks at all words of a token.
    losses_N = (
        None if label_smoothing else output_loss.token_losses(model, batch.inputs, batch.target, **words)
    )
    if losses_N is not None:
        return losses_N
    logits_NV = token_logits(model, batch)
    logits_NV = logits_NV / temperature if words else logits_NV
    return _cross_entropy(logits_NV, batch, label_smoothing=label_smoothing)


def losses_and_states(model: nn.Module, batch: Batch, *, temperature: float = 1.0) -> tuple[Tensor, Tensor]:
    """`token_losses` (N,), and the states that the learnt tokens are predicted from (N, D)."""
    from weitiao.models import output_loss

    if output_loss.is_plain(model):
        states_ND = output_loss.states(model, batch.inputs)
        return output_loss.of_states(model, states_ND, batch.target, temperature=temperature), states_ND
    logits_NV, states_ND = output_loss.whole(model, batch.inputs)
    losses_N = _cross_entropy(logits_NV.float() / temperature, batch, label_smoothing=0.0)
    return losses_N, states_ND


def formula_losses(model: nn.Module, batch: Batch, formula: Formula) -> Tensor:
    """A loss of every learnt token (N,) that looks at all of its words, by a formula of the scores of some tokens at a time."""
    from weitiao.models import output_loss

    losses_N = output_loss.formula_losses(model, batch.inputs, formula)
    return output_loss.in_parts(token_logits(model, batch), formula) if losses_N is None else losses_N


def part_scores(model: nn.Module, batch: Batch) -> Callable[[slice], Tensor]:
    """What gives the scores (P, V) of some learnt tokens, without a gradient."""
    import torch

    from weitiao.models import output_loss

    with torch.no_grad():
        found = output_loss.part_scores(model, batch.inputs)
        return found or token_logits(model, batch).__getitem__


def token_logits(model: nn.Module, batch: Batch) -> Tensor:
    """Scores of every learnt token over the vocabulary (N, V)."""
    from weitiao.models import inputs

    words, places_N = dict(batch.inputs), batch.inputs["logits_to_keep"]
    # No cache: it would make Transformers skip the packed mask, and nothing is generated here.
    if BOUNDS in words and inputs.takes(model, "logits_to_keep"):
        return model(**words, use_cache=False).logits[0].float()
    del words["logits_to_keep"]
    return model(**words, use_cache=False).logits.flatten(0, 1)[places_N].float()


def learnt_scores(model: nn.Module, batch: Batch, target: Target) -> Tensor:
    """The log-probability of some learnt tokens of each padded row (B,): `of` has their places in it; None: of all."""
    import torch

    scores_N = -token_losses(model, batch)
    owner_N = batch.extra["owner"].to(scores_N.device)
    if target.of is not None:
        length = batch.inputs["input_ids"].shape[1]
        places_N = batch.inputs["logits_to_keep"] + 1 - owner_N * length
        scores_N = scores_N * torch.isin(places_N, places_N.new_tensor(target.of))
    return scores_N.new_zeros(batch.extra["rows"]).index_add(0, owner_N, scores_N)


def _cross_entropy(logits_NV: Tensor, batch: Batch, *, label_smoothing: float) -> Tensor:
    from torch.nn import functional as F

    return F.cross_entropy(logits_NV, batch.target, label_smoothing=label_smoothing, reduction="none")


def answers(
    loaded: Any,
    prompts: Sequence[Sequence[int]],
    *,
    streamer: Any = None,
    notice: Callable[[str], None] | None = None,
    **asked: Any,
) -> Iterator[tuple[int, dict[str, Any]]]:
    """The words that follow each prompt, and why they end there (`Task.answer`)."""
    from weitiao.models import decoding, marks

    model, processor = loaded.model, loaded.processor
    settings = decoding.Decoding(
        stops=marks.ends(model, processor), padding=processor.pad_token_id or 0, **asked
    )
    way = decoding.Way.ALONE
    if len(prompts) > 1:
        way = decoding.measure(model, processor, longest=settings.limit)
        if notice is not None:
            for line in way.notices(loaded.source):
                notice(line)

    words: dict[str, Any] = {"streamer": streamer, "beside": lambda row: beside(processor, prompts[row])}
    for place, found in decoding.decode(model, prompts, settings, way=way, **words):
        said = processor.decode(found.ids, skip_special_tokens=True).strip()
        yield place, {"answer": said, "ending": found.ending}


def beside(processor: Any, prompt: Sequence[int]) -> Mapping[str, Any]:
    """What the model reads beside the words of a prompt: its pictures; nothing where it shows none."""
    import torch

    if not isinstance(prompt, Prompt):
        return {}
    kinds = {name: torch.tensor([each]) for name, each in processor.kinds(prompt).items()}
    return {**kinds, **processor.pixels(prompt.pictures)}


def row_losses(model: nn.Module, batch: Batch) -> list[dict[str, Any]]:
    """Summed loss and number of learnt tokens of each row."""
    import torch

    losses_N = token_losses(model, batch).double()
    owner_N = batch.extra["owner"].to(losses_N.device)
    sums_B = torch.zeros(batch.extra["rows"], dtype=torch.float64, device=losses_N.device)
    sums_B.index_add_(0, owner_N, losses_N)
    counts_B = torch.bincount(owner_N, minlength=batch.extra["rows"])
    return [{"loss": a, "tokens": b} for a, b in zip(sums_B.tolist(), counts_B.tolist(), strict=True)]
