"""The controller's decisions, pure."""
