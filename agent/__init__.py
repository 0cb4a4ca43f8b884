"""The agent on a lab PC: an unprivileged front and a root enforcer without a network."""
