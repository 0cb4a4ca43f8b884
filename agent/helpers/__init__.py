"""Programs that live for seconds: what the running agent needs once and must not carry."""
