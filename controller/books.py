"""What the lab's rooms share: who the lab is, its store, its keys, the time."""

from dataclasses import dataclass

from controller.clock import Clock
from controller.pki import Pki
from controller.store.database import Database
from controller.store.repositories import LabStore


@dataclass(frozen=True)
class Books:
    """The lab's books; each of them may be used from any thread."""

    lab: str
    database: Database
    store: LabStore
    pki: Pki
    clock: Clock
