"""The controller without a network: its pure core, its store, its keys."""
