"""Words that follow prompts: many prompts at once, each answered as it would be alone.

decode(model, prompts, Decoding(...), way=Way.RAGGED)  ->  (row, Answer) as rows end

`together`  the rows that share a pass, coming and going; `slots`, where their keys and values lie
`ways`      what a model can do, measured: rows of any length together, of one length alone, or one by one
`turns`     who is asked when; `alone`, Transformers' own generation for what is measured unfit, and for a single prompt
`draws`     words that are drawn instead of the likeliest, by seed and row alone; `sampler`, who may draw them
`grammar`   answers that have a form (JSON of a schema): which words may come next
`writing`   what encoder-decoders write of rows that they have read
"""

from weitiao.models.decoding.answers import Answer, Decoding
from weitiao.models.decoding.draws import log_probabilities
from weitiao.models.decoding.sampler import OwnSampler, Sampler
from weitiao.models.decoding.turns import Row, Said, Turns, decode
from weitiao.models.decoding.ways import Way, measure
from weitiao.models.decoding.writing import Search, write

__all__ = [
    "Answer",
    "Decoding",
    "OwnSampler",
    "Row",
    "Said",
    "Sampler",
    "Search",
    "Turns",
    "Way",
    "decode",
    "log_probabilities",
    "measure",
    "write",
]
