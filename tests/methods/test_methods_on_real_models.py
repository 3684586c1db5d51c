"""The promises of the table once more, on the embedded encoder and language model, with every method's defaults."""

from __future__ import annotations

import pytest
import torch

from tests.methods.toys import EMBEDDED, PAIRS, Toy
from weitiao.models import store, stored
from weitiao.models.assets import catalog

pytestmark = pytest.mark.whole
# The larger model with one method of each kind: what another of its kind does to it is seen on the toys.
LARGE = ("full", "lora", "qlora", "prefix")
REAL = [
    (name, ref)
    for ref, family in EMBEDDED.items()
    for name, of in PAIRS
    if of == family and (family == "bert" or name in LARGE)
]


@pytest.mark.parametrize(("name", "ref"), REAL)
def test_a_real_model_keeps_the_promises(request, name, ref, tmp_path):
    catalog.model_path(ref)
    settings = {"until": 0.1} if name == "gradual" else {}
    toy = Toy(request, name, ref, **settings)
    base = toy.logits(toy.base)
    if toy.method.starts_as_base:
        torch.testing.assert_close(toy.logits(), base, rtol=0, atol=0)
    snapshot = toy.method.snapshot(toy.model)
    frozen = {n: w.detach().clone() for n, w in toy.model.named_parameters() if not w.requires_grad}
    losses = toy.steps(2)
    assert all(torch.isfinite(torch.tensor(losses)))
    assert all(torch.equal(w, frozen[n]) for n, w in toy.model.named_parameters() if n in frozen)
    tuned = toy.logits()
    assert not torch.equal(tuned, base)
    with toy.method.off(toy.model, snapshot):
        torch.testing.assert_close(toy.logits(), base, rtol=0, atol=0)
    store.save_tuned(tmp_path / "model", toy.loaded, task=toy.task, method=toy.method, card={})
    back = store.load_tuned(tmp_path / "model", ref=toy.ref, task=toy.task, method=toy.method)
    kept = stored.precision(toy.loaded.source)
    if toy.method.layout == "pretrained" and kept != "float32":  # what is judged is the model as it is stored
        for weight in toy.model.parameters():
            weight.data = weight.data.to(getattr(torch, kept)).float()
        tuned = toy.logits()
    torch.testing.assert_close(toy.logits(back.model), tuned, rtol=0, atol=0)
    if toy.method.foldable:
        folded = toy.logits(toy.method.fold(toy.model))
        torch.testing.assert_close(folded, tuned, rtol=2e-3, atol=2e-4 * float(tuned.abs().max()))
