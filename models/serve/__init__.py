"""`makemore serve`: a trained network behind a small HTTP server, as a page and as JSON."""
