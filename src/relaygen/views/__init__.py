"""What generations look like: as JSON, on a terminal, in a browser."""
