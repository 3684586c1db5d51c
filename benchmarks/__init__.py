"""weitiao beside HF Trainer and TRL on the demo's two jobs: same rows, steps, settings and threads, interleaved.

    rows.py -> rows.json -> worker.py x systems x rounds -> judge.py -> __main__.py prints the table

`python -m benchmarks` from the root of the repository; README.md says what is fair and how to read it.
"""
