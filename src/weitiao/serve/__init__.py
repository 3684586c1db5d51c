"""Tuned models, asked over HTTP.

    runs  ->  serving(...)  ->  an ASGI application:  a request -> a job -> the desk -> an answer

`models`    runs by the names under which they are asked, those of one base in memory once
`desk`      the one thread that asks models; jobs come in at any time, a queue of bounded length holds them
`labels`    rows that are labelled: several requests in one pass, without padding
`talks`     turns that are answered token by token: who asks joins those that are being answered
`writes`    rows that are answered in words by models that are not talked with
`guard`     who may ask, and how much
`app`       the application; `routes/` what can be asked, by the names that the field has for it

Law: an answer is the one that the run gives (`Run.predict`, `Run.answer`), whoever asks beside.  Nothing of a request is
kept but its number, time, sizes and what came of it, unless the one who serves says so.
"""
