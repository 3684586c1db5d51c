"""A base that labels texts already: its outputs are matched by name, and new ones are drawn where they mean other things."""

from __future__ import annotations

import json

import pytest
import torch

import weitiao as wt
from tests.conftest import reviews, write_csv
from weitiao.core import registry
from weitiao.core.errors import WeitiaoError
from weitiao.models.load import load


def classifier(bert, folder, *names, **more) -> str:
    """The toy BERT with a head that labels with these names."""
    import transformers

    torch.manual_seed(5)
    known = {"num_labels": len(names), "id2label": dict(enumerate(names))}
    config = transformers.BertConfig.from_pretrained(bert, **known, **more)
    config.label2id = {name: i for i, name in enumerate(names)}
    transformers.BertForSequenceClassification(config).save_pretrained(folder)
    transformers.AutoTokenizer.from_pretrained(bert).save_pretrained(folder)
    return str(folder)


def head(base: str, *labels: str, seed: int = 0):
    task = registry.build("task", {"name": "text_classification", "labels": list(labels)})
    loaded = load(base, task, seed=seed)
    return loaded.model.classifier.weight.detach(), loaded.notices


@pytest.mark.parametrize(
    ("theirs", "ours", "kept"),
    [
        (("bad", "good"), ("bad", "good"), True),
        (("BAD", "Good"), ("bad", "good"), True),
        (("LABEL_0", "LABEL_1"), ("bad", "good"), False),
        (("cat", "dog"), ("bad", "good"), False),
        (("good", "bad"), ("bad", "good"), False),
        (("bad", "good", "mixed"), ("bad", "good"), False),
    ],
)
def test_outputs_stay_when_they_have_the_labels_names(bert, tmp_path, theirs, ours, kept):
    from safetensors.torch import load_file

    base = classifier(bert, tmp_path / "base", *theirs)
    was = load_file(f"{base}/model.safetensors")["classifier.weight"]
    found, notices = head(base, *ours)
    assert (found.shape == was.shape and torch.equal(found, was)) == kept
    assert bool(notices) != kept
    assert torch.equal(found, head(base, *ours)[0])
    assert kept or not torch.equal(found, head(base, *ours, seed=1)[0])
    assert kept or found.std() < 0.05  # drawn as the family draws them


def test_new_outputs_are_as_large_as_those_they_replace_and_keep_what_they_have_in_common(tmp_path):
    """A detector with a focal loss begins by finding nothing, and does not begin small."""
    import transformers

    from tests.boxed import saved

    base = saved("rt_detr", tmp_path / "base")
    task = registry.build("task", {"name": "object_detection", "labels": ["cat", "dog"]})
    was = transformers.AutoModelForObjectDetection.from_pretrained(base).model.enc_score_head.requires_grad_(
        False
    )
    loaded = load(str(base), task)
    now = loaded.model.model.enc_score_head.requires_grad_(False)
    assert "new ones are drawn" in " ".join(loaded.notices)
    assert not torch.equal(now.weight, was.weight)
    assert float(now.weight.std()) == pytest.approx(float(was.weight.std()), rel=0.4)
    assert float(was.weight.std()) > 5 * loaded.model.config.initializer_range
    assert float(was.bias.max()) < -0.5
    torch.testing.assert_close(now.bias, was.bias.mean().expand(2))


@pytest.mark.whole
def test_a_run_keeps_the_order_of_the_base_and_says_what_was_trained(bert, tmp_path):
    base = classifier(
        bert, tmp_path / "base", "POSITIVE", "NEGATIVE", problem_type="multi_label_classification"
    )
    rows = [
        {**row, "label": {"good": "positive", "bad": "negative"}.get(row["label"], row["label"])}
        for row in reviews(40)
    ]
    recipe = {
        "model": base,
        "task": "text_classification",
        "method": "head",
        "data": {"train": [str(write_csv(tmp_path / "rows.csv", rows))]},
        "train": {"max_steps": 2},
        "evaluate": {"resamples": 100},
        "output_dir": str(tmp_path / "run"),
    }
    run = wt.train(recipe)
    assert run.task.labels == ("positive", "negative")
    assert wt.load(tmp_path / "run").predict("film good")[0]["scores"].keys() == {"positive", "negative"}
    task = {"name": "text_classification", "labels": ["negative", "positive"]}
    with pytest.raises(WeitiaoError) as told:
        wt.train({**recipe, "task": task, "output_dir": str(tmp_path / "other")})
    assert "POSITIVE, NEGATIVE" in str(told.value)
    merged = {**recipe, "method": "full", "output_dir": str(tmp_path / "full")}
    saved = json.loads((wt.train(merged).path / "model" / "config.json").read_text())
    assert saved["problem_type"] == "single_label_classification"
    assert saved["id2label"] == {"0": "positive", "1": "negative"}


def test_a_body_that_does_not_fit_its_configuration_is_refused(bert, tmp_path):
    base = classifier(bert, tmp_path / "base", "bad", "good", vocab_size=60)
    known = json.loads((tmp_path / "base" / "config.json").read_text())
    (tmp_path / "base" / "config.json").write_text(json.dumps({**known, "vocab_size": 64}))
    with pytest.raises(WeitiaoError, match=r"word_embeddings") as told:
        head(base, "bad", "good")
    assert told.value.code == "sizes_disagree"
