"""What the maintainers run by hand. Nothing here is installed."""
