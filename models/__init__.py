"""What is built on the engine: the names, the makemore MLP, its training and the `makemore` command."""
