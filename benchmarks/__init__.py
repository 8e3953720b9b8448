"""Side by side with torch, numpy by hand and others: `make bench`, `make bench-scale`, `make bench-readme`."""
