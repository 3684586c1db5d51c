"""Which base model and which method, before anything is tuned: `weitiao choose`.

    look       what the data are: rows, languages, labels, folds            look.py
    ask        what each model makes of them: facts, probe                  asked.py, features.py, probe.py, logme.py
    rank       models by their folds, methods by what they take             ranked.py
    instead    when fine-tuning is not the answer                           instead.py
    show       one table, one page, one recipe                              choose.py, page.py

What a run would take is forecast by whoever calls (`costs`): a study knows no forecast.
"""
