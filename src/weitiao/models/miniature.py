"""How rows will lie in a model, asked of a small one of its kind: what a plan knows before any weight is read.

    examined(ref, task, half="bfloat16", recomputes=False, longest=512, device="cpu")
        ->  Examined(layout=PADDED, attention="sdpa")     None: too large to be made small, so it is found when it is opened

The small model has the first blocks, as many as hold one of every kind, a language model's a few words, and numbers
drawn large enough that a leak is one.  It is examined as the model itself will be, and takes a step as that will.
Where two blocks are not too many there are two: what a convolution hears of padding it hands on in the next block.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from weitiao.core.contracts import Task
from weitiao.core.errors import WeitiaoError
from weitiao.models import batch_norms, beside, examine, first_step, folders, load, seeing, store
from weitiao.models.examine import Examined
from weitiao.models.memory_ran_out import ran_out
from weitiao.models.opening import opened, resolve
from weitiao.models.precision import Half
from weitiao.models.quiet import quiet

MOST = 1 << 28
"""Numbers of the small model: in float32 a gigabyte."""
WORDS = 256
"""Of a language model's vocabulary."""
MARKS = ("pad_token_id", "bos_token_id", "eos_token_id")


def examined(
    ref: str, task: Task, *, half: Half | None, recomputes: bool, longest: int | None, device: str
) -> Examined | None:
    """What `examine` finds of the small model; None where there is none, or where cutting it has broken it.

    Args:
        ref: the base.
        task: with what the data taught it.
        half: what products are computed in.
        recomputes: are activations computed again in backward?
        longest: tokens of the longest row that it will read; None for as many as it has positions for.
        device: where it is asked.

    Raises:
        WeitiaoError: `not_causal`, `model_fails`, `fails_so`: as training would.
    """
    if task.library:
        return None
    source = resolve(ref)
    with opened(ref), quiet():
        processor = folders.processor(source, task)
        config = load.configured(ref, source, processor, task, None)
    whole = _meta(config, task)
    for cut in (_cut(config, whole, task, fewest=2), _cut(config, whole, task, fewest=1), config):
        if cut is None or _meta(cut, task, most=MOST) is None:
            continue
        try:
            return _asked(cut, task, processor, ref, half, recomputes, longest, device)
        except WeitiaoError as error:
            if error.code == "not_causal" or cut is config:
                raise
        except Exception as error:  # a model's own code, on a configuration that was cut
            if ran_out(error):
                raise
            continue
    return None


def _asked(
    config: Any,
    task: Task,
    processor: Any,
    ref: str,
    half: Half | None,
    recomputes: bool,
    longest: int | None,
    device: str,
) -> Examined:
    import transformers

    auto = getattr(transformers, seeing.auto(config, task))
    known = None if getattr(config.get_text_config(), "vocab_size", None) == WORDS else processor

    def made(name: str) -> tuple[Any, Examined]:
        # A copy: Transformers writes down in it how attention is computed.
        words = {"dtype": torch.float32, "trust_remote_code": False, "attn_implementation": name}
        model = auto.from_config(deepcopy(config), **words)
        load.trimmed(model, task)
        batch_norms.hold(model)
        with torch.no_grad():
            for weight in model.parameters():
                # Biases too: ConvBERT's padding is heard through them.
                size = weight.shape[-1] ** -0.5 if weight.dim() > 1 else 0.1
                weight += size * torch.randn_like(weight)
        model = model.to(device).eval()
        found = beside.examine(model, task, known, ref=ref, longest=longest)
        loaded = load.Loaded(model, known, frozenset(), ref, layout=found.layout)
        return model, replace(found, small=True, shares=loaded.sharing(task))

    with quiet(), torch.random.fork_rng():
        torch.manual_seed(0)
        model, found = examine.first(examine.attentions(task, device.partition(":")[0], config), made)
        loaded = load.Loaded(model, known, frozenset(), ref, layout=found.layout)
        loaded.trained = store.trained(model)
        room = loaded.limit if known is not None else examine.LONG
        first_step.refuse_failing(loaded, task, half=half, recomputes=recomputes, ref=ref, room=room)
    return found


def _meta(config: Any, task: Task, *, most: int | None = None) -> Any:
    """The model without weights; None when it cannot be made, or has more numbers than that."""
    import transformers

    try:
        with quiet(), torch.device("meta"):
            model = getattr(transformers, seeing.auto(config, task)).from_config(
                deepcopy(config), trust_remote_code=False
            )
    except Exception:  # opening the model itself says it better
        return None
    return model if most is None or sum(weight.numel() for weight in model.parameters()) <= most else None


def _cut(config: Any, whole: Any, task: Task, *, fewest: int) -> Any:
    """The configuration of the first blocks, and of few words where no text is looked at; None when it cannot be cut."""
    if whole is None:
        return None
    cut = deepcopy(config)
    text = cut.get_text_config()
    blocks = _blocks(whole, getattr(text, "num_hidden_layers", None))
    if not blocks:
        return None
    kinds = [_kind(block, place, text) for place, block in enumerate(blocks)]
    count = next(n for n in range(1, len(kinds) + 1) if set(kinds[:n]) == set(kinds))
    count = min(max(count, fewest), len(kinds))
    try:
        for name, value in text.to_dict().items():
            if isinstance(value, list) and len(value) == len(kinds):
                setattr(text, name, value[:count])
        text.num_hidden_layers = count
        if task.auto_class == "AutoModelForCausalLM":
            text.vocab_size = min(text.vocab_size, WORDS)
            for part in {id(part): part for part in (cut, text)}.values():
                for name in MARKS:
                    value = getattr(part, name, None)
                    if not isinstance(value, int) or value >= WORDS:
                        setattr(part, name, 0 if value is not None and name == MARKS[0] else None)
    except Exception:  # a configuration that checks itself
        return None
    made = _meta(cut, task)
    left = _blocks(made, count) if made is not None else []
    return cut if [_kind(block, place, text) for place, block in enumerate(left)] == kinds[:count] else None


def _blocks(model: nn.Module, count: int | None) -> list[nn.Module]:
    lists = (module for module in model.modules() if isinstance(module, nn.ModuleList))
    return next((list(found) for found in lists if len(found) == count), [])


def _kind(block: nn.Module, place: int, config: Any) -> tuple[Any, ...]:
    """Two blocks are of one kind when they hold the same and their configuration says the same of them."""
    holds = tuple((name, type(module)) for name, module in block.named_modules())
    sizes = tuple((name, tuple(weight.shape)) for name, weight in block.named_parameters())
    said = getattr(config, "layer_types", None) or [None] * (place + 1)
    # What else sets blocks apart they keep themselves: is this one's window sliding, has it positions?
    plain = tuple(
        (name, key, value)
        for name, module in block.named_modules()
        for key, value in sorted(vars(module).items())
        if isinstance(value, bool | int | str) and key not in ("layer_idx", "layer_id", "layer_number", "idx")
    )
    return holds, sizes, said[place], plain
