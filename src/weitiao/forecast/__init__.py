"""What a run will take of memory, disk and time, and whether the engine keeps its promises, before anything is spent."""
