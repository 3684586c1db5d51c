"""Tuning as a service: files and jobs by OpenAI's names, one job at a time, each an ordinary run.

    runs/tuning/files/file-5e.jsonl          rows as they were uploaded, checked line by line
    runs/tuning/jobs/ftjob-9a/job.json       what is asked and what became of it; rows as the run reads them
    runs/ftjob-9a/                           the run

`rows`     what is wrong with an uploaded file, and its rows as tasks read them
`files`    uploads
`jobs`     jobs on disk
`tuner`    the one thread that has jobs done
`told`     events, checkpoints and results, by the log of a run

Law: what lies on disk is what holds: a server that is started again goes on where it was.  How a run is trained, and what is
advised where nothing is said, is handed in.
"""
