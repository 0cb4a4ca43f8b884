"""The profile language, for people who write YAML, and what ships in it."""
