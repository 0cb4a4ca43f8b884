"""What this costs beside its peers, measured in one run: goal, ratio, met or missed."""
