"""What the command says on stderr, in one line, before it ends with a status other than 0."""


class BadInput(ValueError):
    """Options or files that cannot be used; its text is the line. Nothing was written. Status 2."""


class Failed(RuntimeError):
    """A run that came to no good end; its text is the line. Status 1."""
