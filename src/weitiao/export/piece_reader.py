"""A text cut into word pieces as llama.cpp cuts it, by the words of its file alone.

    pieces("Naïve!", places, ...)  ->  [101, 15743, 999, 102]

Runners hold these lines as they stand here: they know nothing of this library, nor of Transformers.  llama.cpp keeps the first
part alone of what is put together (of a Hangul syllable its first consonant), leaves out marks of every kind, and no word is
too long for it; a text that the model's tokenizer reads otherwise is found by `gguf_words.misreads`.
"""

import unicodedata
from collections.abc import Mapping


def words(text: str, *, lower: bool, strips: bool) -> list[str]:
    """Letters between spaces; a mark of punctuation, and a Chinese character, is a word of its own."""
    chinese = [(0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0x2A700, 0x2B73F), (0x2B740, 0x2B81F)]
    chinese += [(0x2B920, 0x2CEAF), (0xF900, 0xFAFF), (0x2F800, 0x2FA1F)]
    found = [""]
    for letter in text:
        if letter.isspace() and letter not in "\x1c\x1d\x1e\x1f":
            found.append("")
            continue
        if strips:
            letter = unicodedata.normalize("NFD", letter)[0]
        kind = unicodedata.category(letter)
        if letter == "\ufffd" or kind in ("Cc", "Cf", "Co", "Cs") or (strips and kind[0] == "M"):
            continue
        alone = kind[0] == "P" or (letter < "\x7f" and kind[0] == "S")
        if alone or any(low <= ord(letter) <= high for low, high in chinese):
            found += [letter.lower() if lower else letter, ""]
        else:
            found[-1] += letter.lower() if lower else letter
    return [word for word in found if word]


def pieces(
    text: str, places: Mapping[str, int], *, lower: bool, strips: bool, begin: int, end: int, unknown: int
) -> list[int]:
    """The longest pieces of each word, from left to right; a word that is not made of any is unknown as a whole."""
    longest, ids = max(map(len, places)), [begin]
    for word in words(text, lower=lower, strips=strips):
        left, own = "\u2581" + word, list[int]()
        while left:
            size = next((size for size in range(min(longest, len(left)), 0, -1) if left[:size] in places), 0)
            if not size:
                own = [unknown]
                break
            own.append(places[left[:size]])
            left = left[size:]
        ids += own
    return [*ids, end]
