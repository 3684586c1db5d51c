"""What is raised of a row that cannot be used."""


class Unusable(ValueError):
    """A row that does not hold what its format promises; the text says why."""
