"""Pictures: where they lie, how they are opened, what is known of them, how they are changed.

    "cats/1.jpg"  ->  inside("cats/1.jpg", home)  ->  a path     ->  looked(path)  ->  Look(width, height, phash, ...)
                                                                 ->  opened(path)  ->  an RGB picture, upright

A row holds where its picture lies, never its pixels: these are read when a batch is stacked, by whoever stacks it, so that memory
does not grow with the number of pictures.  Any task of pictures (labels, boxes, masks) reads by `opened`, so that what is
trained, judged, asked and drawn is one picture.
"""
