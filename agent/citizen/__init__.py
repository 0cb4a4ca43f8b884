"""What the citizen sees of us: the session bar, a process of its own on the kiosk's screen.

It runs on GTK, which is Debian's package and not a wheel, so nothing here
imports the agent, msgspec or anything else that is not in Python itself.
"""
