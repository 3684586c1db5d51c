"""Where a recipe is trained by several machines: a shelf, one file a destination."""
