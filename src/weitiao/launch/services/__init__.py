"""Where runs are served: a shelf, one file a destination."""
