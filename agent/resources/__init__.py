"""One module for each resource kind: what it wants, observes and plans. None writes."""
