"""The kitchen: files in, batches out.

    read -> formats -> check (the ledger) -> split -> augment -> encode -> pack

No row disappears without a line in the ledger that says which, from where, and why.
"""
