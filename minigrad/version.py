"""The version of the package, in this one place: pyproject.toml and `makemore --version` read it here."""

__version__ = "0.1.0"
