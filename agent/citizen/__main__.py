"""`python -I -m agent.citizen`: the session bar, as lab-bar.service runs it.

GTK's Python side is Debian's package python3-gi, built for the interpreter that
the agent's own environment is made of; it is found where Debian puts it.
"""

import os
import sys

sys.path.append("/usr/lib/python3/dist-packages")

from agent.citizen.bar import main  # what it needs is found first
from agent.citizen.downloads import FOLDER
from agent.citizen.link import DOOR

sys.exit(main(os.environ.get("LAB_DOOR", DOOR), os.environ.get("LAB_DOWNLOADS", FOLDER)))
