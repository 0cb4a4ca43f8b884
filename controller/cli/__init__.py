"""labctl, the technicians' command line: one module for each noun."""
