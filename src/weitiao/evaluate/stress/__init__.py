"""Stress: how what a model says holds when its rows are written otherwise, and whether it is alike to all groups.

Every number is one of the judge's table of sums per row (`evaluate/judge.py`), and every difference one of the same rows.
"""
