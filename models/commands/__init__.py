"""Commands of `makemore` in files of their own: each has `register(command)`, which adds its options to the parser."""
