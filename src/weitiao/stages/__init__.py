"""The way of a run, to be read top to bottom: prepare, preflight, assemble, train, evaluate; and its folder in use.

Each stage reads a run folder and writes into it, and says what it does through `events`.  Knows no study and no forecast.
"""
