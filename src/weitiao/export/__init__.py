"""The model leaves its run in the form that its destination wants, with a proof that it answers as the one that was judged.

    run.export("onnx")  ->  forms (a shelf) write it aside
                        ->  asked: rows of the run, and what the judged model says of them
                        ->  fresh: what the form's own runner says of them, in a process without network and without weitiao
                        ->  parity: both compared; what differs is not written

A form is one file in `forms/`, and says itself what it cannot be had for.  What is compared knows no form by name.
"""
