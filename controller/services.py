"""The use cases: what a technician can ask of the controller."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from controller import door_models as m


@dataclass(frozen=True)
class Caller:
    """Who asks, as the kernel says."""

    uid: int
    user: str
    technician: bool


class Services:
    """One method for each route of the door; all raise problems.Problem for what they refuse."""

    def status(self) -> m.Status:
        raise NotImplementedError

    def watching(self, woken: Callable[[], object]) -> AbstractContextManager[None]:
        raise NotImplementedError

    def inventory(self) -> m.Inventory:
        raise NotImplementedError

    def discover(self, hosts: Sequence[str], timeout_s: float) -> m.Discovered:
        raise NotImplementedError

    def pair(self, station: str, code: str, address: str | None) -> m.Paired:
        raise NotImplementedError

    def unpair(self, station: str, *, force: bool) -> m.Unpaired:
        raise NotImplementedError

    def explain(self, station: str) -> m.Explained:
        raise NotImplementedError

    def profiles(self) -> m.Profiles:
        raise NotImplementedError

    def check(self) -> m.Check:
        raise NotImplementedError

    def profile(self, name: str) -> m.ProfileText:
        raise NotImplementedError

    def publications(self, name: str) -> m.Publications:
        raise NotImplementedError

    def diff(self, name: str) -> m.Diff:
        raise NotImplementedError

    def publish(self, name: str, who: str, why: str, wait_s: float) -> m.Rolled:
        raise NotImplementedError

    def rollback(self, name: str, to: int | None, who: str, why: str, wait_s: float) -> m.Rolled:
        raise NotImplementedError

    def assign(self, target: str, profile: str | None, who: str, wait_s: float) -> m.Rolled:
        raise NotImplementedError

    def groups(self) -> m.Groups:
        raise NotImplementedError

    def set_group(self, name: str, stations: Sequence[str], who: str) -> m.GroupSet:
        raise NotImplementedError

    def doctor(self) -> m.Doctor:
        raise NotImplementedError

    def update_spid(self, providers: Sequence[m.SpidProvider], *, force: bool) -> m.SpidOut:
        raise NotImplementedError
