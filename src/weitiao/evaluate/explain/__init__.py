"""What of a text a prediction hangs on: computation alone, of a model, a row and one number that is said of it.

    spelt(...)     which tokens of a row are which words of the user's texts          words.py
    Followed       a model whose word vectors are handed in                           vectors.py
    hidden         which rows it sees as alike                                    similar.py
    Explanation    what comes out, as data; page, snippet                         explanation.py, page.py
    attribute      integrated gradients, and words left out one by one                attribute.py

A task says which numbers there are (`Task.explains`) and computes them (`Task.target_scores`); nothing here knows a task.
"""
