"""The verb `demo`: the main job of each kind on an embedded model and real data, in one run or in several steps."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from weitiao.cli.options import Json, Overrides, Quiet, Verbose, emit
from weitiao.cli.train import said, trained
from weitiao.core.errors import did_you_mean, fault

FULL = {
    "reviews": ("train.num_train_epochs=3",),
    "zh": ("data.train=reviews-zh#16000",),
    "names": ("train.num_train_epochs=8",),
    "ratings": ("train.num_train_epochs=3",),
    "image": ("data.train=fashion-mnist#10000", "train.num_train_epochs=4"),
    "detect": ("train.num_train_epochs=20",),
    "segment": ("train.num_train_epochs=24",),
    "chat": ("data.train=alpaca-en#300",),
    "dpo": ("data.train=film-preferences#1500",),
    "kto": ("data.train=film-judgements#1200",),
    "reward": ("data.train=film-preferences",),
    "rlhf": ("sft.data.train=film-demonstrations#1200", "grpo.train.max_steps=60"),
    "translate": ("data.train=pronunciations#40000",),
    "qa": ("data.train=word-meanings#5000",),
    "retrieve": ("data.train=word-search#20000",),
    "rerank": ("data.train=word-search#6000",),
    "ner": ("train.num_train_epochs=10",),
    "ner-zh": ("data.train=peoples-daily-zh#3000",),
}
"""What `--full` changes in each demo's recipe, or in one of its steps."""


def demo(
    which: Annotated[
        str,
        typer.Argument(
            help="reviews (English), zh (Chinese reviews), ratings (numbers), names (several labels), image (pictures of clothes), detect (clothes in pictures, each in a box), segment (clothes in pictures, pixel by pixel), chat, dpo (preferences), kto (judged answers), reward (a reward model), rlhf (answers to learn, a reward model, and learning from it), translate (English spelling into its sounds), qa (answers from a text), retrieve (words by what they mean), ner (names in tweets), ner-zh (names in Chinese news), rerank (which words a definition means)."
        ),
    ] = "reviews",
    overrides: Overrides = None,
    full: Annotated[
        bool, typer.Option("--full", help="All rows and epochs: two to three times as long.")
    ] = False,
    quiet: Quiet = False,
    json: Json = False,
    verbose: Verbose = False,
) -> None:
    """The main job on an embedded model and real data, in a few minutes on two cores."""
    from weitiao import api

    if "=" in which:  # the first word changes something already: of the demo that is made where none is named
        which, overrides = "reviews", [which, *(overrides or ())]
    if which not in FULL:
        hint, known = did_you_mean(which, FULL), ", ".join(FULL)
        raise fault("unknown_name", shelf="demo", name=which, hint=hint, known=known)
    recipe = api.ready_recipe(which if which.startswith("ner") else f"demo-{which}")
    folder = api.free_folder(f"runs/demo-{which}")
    words = [*(FULL[which] if full else ()), *(overrides or ())]
    if "steps" in recipe:
        _road(recipe["steps"], folder, words, quiet=quiet, json=json)
    else:
        _one(recipe, [f"output_dir={folder}", *words], quiet=quiet, json=json)


def _one(recipe: dict[str, Any], words: list[str], *, quiet: bool, json: bool) -> None:
    from weitiao.cli.show import next_steps
    from weitiao.terminal.show import Show

    run = trained(recipe, words, Show(quiet=quiet or json), json=json)
    if json:
        emit(said(run))
    else:
        next_steps(run)


def _road(steps: dict[str, Any], folder: str, words: list[str], *, quiet: bool, json: bool) -> None:
    """Step by step, each beginning with what others gave; a word `STEP.key=value` is for one of them."""
    from weitiao import api
    from weitiao.cli.show import next_steps, road_at, stepped
    from weitiao.terminal.show import Show

    runs: dict[str, Any] = {}
    for name, recipe in steps.items():
        own = [
            word.removeprefix(f"{name}.") for word in words if word.partition(".")[0] not in {*steps} - {name}
        ]
        recipe = {**api.step(recipe, folder), "output_dir": f"{folder}/{name}"}
        if not json:
            stepped(name, nth=len(runs) + 1, of=len(steps))
        runs[name] = trained(recipe, own, Show(quiet=quiet or json), json=json)
    page = api.road(runs, f"{folder}/road.html")
    if json:
        emit({"page": str(page), "steps": {name: said(run) for name, run in runs.items()}})
    else:
        road_at(page)
        next_steps(runs[name])
