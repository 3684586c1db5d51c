"""Shelf: what an answer is worth, one small file each (`task.rewards` of a task that learns from rewards).

    Reward(...).ready()  ->  ([Answered(prompt, answer, row), ...])  ->  one number an answer, the larger the better

Rules are worth 0 to 1, so that their weights say what counts how much.  None of them knows another, or a task.
"""
