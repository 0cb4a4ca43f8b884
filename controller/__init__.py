"""The controller on the lab's server: finds, pairs, tells and hears the agents."""
