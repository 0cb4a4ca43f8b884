"""Service bundles: everything a citizen's way through one public service touches.

A login passes several hosts, and every redirect, form target and frame among
them must be on the browser's list; so the unit is the service, never the host.
A bundle says when its hosts were last looked at and on what evidence, because
they do change. The SPID bundle names its hosts by identity provider, as the
federation's signed metadata does (kiosk_profiles.spid reads that).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any, Literal

import yaml
from pydantic import BeforeValidator, Field, model_validator

from kiosk_profiles.findings import _
from kiosk_profiles.profile import HostPattern, ServiceName, Strict, Text, Url, refuse

Evidence = Literal["metadata", "public-data", "public-code", "general-knowledge", "seen"]
"""How a host came to be listed: signed federation metadata, published open data, other public
code, general knowledge, or a technician of the lab saw it at work."""


def _date(value: Any) -> Any:
    if isinstance(value, str):
        try:
            return date.fromisoformat(value)
        except ValueError:
            raise refuse(_("'{value}' is no date", value=value), _("write it as 2026-11-23")) from None
    return value


Day = Annotated[date, BeforeValidator(_date)]


class Provider(Strict):
    """An identity provider of SPID. `hosts` are the metadata's own, `also` what it does not tell
    (self-care pages, wider names) and an update keeps."""

    entity: Annotated[str, Field(pattern=r"^https?://\S+$", max_length=300)]
    name: Annotated[str, Field(min_length=1, max_length=120)]
    hosts: Annotated[list[HostPattern], Field(min_length=1, max_length=20)]
    also: Annotated[list[HostPattern], Field(max_length=20, default_factory=list)]


class Bundle(Strict):
    """One service. `about` tells a citizen in plain words what it is
    good for. `navigation` hosts may be opened as pages, frames and form targets;
    `network_only` hosts serve parts of pages and matter to a network filter alone."""

    title: Text
    about: Text | None = None
    checked: Day
    evidence: Evidence
    source: Annotated[str, Field(min_length=1, max_length=400)]
    start: Url | None = None
    login: list[ServiceName] = Field(default_factory=list)
    navigation: list[HostPattern] = Field(default_factory=list)
    network_only: list[HostPattern] = Field(default_factory=list)
    published: Day | None = None
    providers: list[Provider] = Field(default_factory=list)

    @model_validator(mode="after")
    def _dated_metadata(self) -> "Bundle":
        if self.providers and self.published is None:
            raise refuse(_("providers without the day of their metadata"), _("write 'published: 2025-11-25'"))
        seen: set[str] = set()
        for provider in self.providers:
            if provider.entity in seen:
                raise refuse(_("{entity} is here twice", entity=provider.entity), _("keep one of the two"))
            seen.add(provider.entity)
        return self

    def hosts(self) -> tuple[str, ...]:
        """Every pattern that the browser must let through for this service, each once."""
        found = dict.fromkeys(self.navigation)
        for provider in self.providers:
            found.update(dict.fromkeys((*provider.hosts, *provider.also)))
        return tuple(found)


@dataclass(frozen=True)
class FederationProvider:
    """An identity provider as a federation's metadata names it; hosts without a dot in front.

    `logout` are the hosts that it signs out at and does not sign in at.
    """

    entity: str
    name: str
    hosts: tuple[str, ...]
    logout: tuple[str, ...] = ()

    @property
    def patterns(self) -> tuple[str, ...]:
        """What the browser must let through: exactly these hosts."""
        return tuple("." + host for host in dict.fromkeys((*self.hosts, *self.logout)))


@dataclass(frozen=True)
class FederationChange:
    """What an update would change. `refused` says why not, in a sentence; None is nothing in the way."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    hosts_added: tuple[str, ...]
    hosts_removed: tuple[str, ...]
    refused: str | None

    @property
    def empty(self) -> bool:
        """Whether bundle and metadata agree already."""
        return not (self.added or self.removed or self.hosts_added or self.hosts_removed)


def compare_providers(
    bundle: Bundle, providers: Sequence[FederationProvider], published: date | None = None
) -> FederationChange:
    """What replacing the bundle's providers by the federation's would change, and what speaks against it.

    An empty list, one that lost a provider and one older than the bundle are
    refused: each may be right, and each shuts citizens out when it is not, so
    a person decides.
    """
    old = {provider.entity: provider for provider in bundle.providers}
    new = {provider.entity: provider for provider in providers}
    removed = tuple(sorted(old.keys() - new.keys()))
    old_hosts = {host for provider in bundle.providers for host in provider.hosts}
    new_hosts = {pattern for provider in providers for pattern in provider.patterns}
    refused = None
    if not new:
        refused = _("the list names no provider at all: with it nobody could sign in")
    elif removed:
        names = ", ".join(old[entity].name for entity in removed)
        refused = _("the list no longer has {names}: their users could not sign in", names=names)
    elif published is not None and bundle.published is not None and published < bundle.published:
        refused = _(
            "the list is of {new}, older than the one in use, of {old}",
            new=published.isoformat(),
            old=bundle.published.isoformat(),
        )
    return FederationChange(
        added=tuple(sorted(new.keys() - old.keys())),
        removed=removed,
        hosts_added=tuple(sorted(new_hosts - old_hosts)),
        hosts_removed=tuple(sorted(old_hosts - new_hosts)),
        refused=refused,
    )


def updated_bundle(
    bundle: Bundle, providers: Sequence[FederationProvider], published: date, checked: date
) -> Bundle:
    """The bundle with the federation's providers; what metadata does not tell of each is kept."""
    also = {provider.entity: provider.also for provider in bundle.providers}
    names = {provider.entity: provider.name for provider in bundle.providers}
    return bundle.model_copy(
        update={
            "published": published,
            "checked": checked,
            "evidence": "metadata",
            "source": f"the federation's metadata, published {published}, signature verified {checked}",
            "providers": [
                Provider(
                    entity=provider.entity,
                    name=names.get(provider.entity, provider.name),
                    hosts=list(provider.patterns),
                    also=also.get(provider.entity, []),
                )
                for provider in sorted(providers, key=lambda provider: provider.entity)
            ],
        }
    )


def bundle_yaml(bundle: Bundle) -> str:
    """The text of the file that holds this bundle; loading it gives the bundle again."""
    data = bundle.model_dump(mode="json", exclude_defaults=True)
    return yaml.safe_dump(data, allow_unicode=True, sort_keys=False, width=110)
