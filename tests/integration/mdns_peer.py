"""A host on the LAN that browses, or lies, by mDNS: run as a process of its own, in any network namespace.

    python -m tests.integration.mdns_peer browse ADDRESS
    python -m tests.integration.mdns_peer lie ADDRESS INSTANCE

`browse` prints a JSON line for each change of what it sees; `lie` announces
INSTANCE as its own until it is killed.
"""

import json
import socket
import sys
import time

from zeroconf import ServiceBrowser, ServiceInfo, ServiceListener, Zeroconf

from contract.identity import SERVICE_TYPE


class Names(ServiceListener):
    """The instances that are there."""

    def __init__(self) -> None:
        self.now: set[str] = set()

    def add_service(self, zc: Zeroconf, type_: str, name: str) -> None:
        self.now.add(name)

    def update_service(self, zc: Zeroconf, type_: str, name: str) -> None:
        self.now.add(name)

    def remove_service(self, zc: Zeroconf, type_: str, name: str) -> None:
        self.now.discard(name)


def look(zeroconf: Zeroconf, names: Names, told: dict[str, dict[str, object]]) -> None:
    """Resolve every instance and tell what changed since the last look."""
    for name in told.keys() - names.now:
        del told[name]
        tell({"name": name.removesuffix("." + SERVICE_TYPE), "gone": True})
    for name in list(names.now):
        info = zeroconf.get_service_info(SERVICE_TYPE, name, timeout=1000)
        if info is None:
            continue
        texts = {key.decode(): value.decode() for key, value in info.properties.items() if value is not None}
        what: dict[str, object] = {
            "name": name.removesuffix("." + SERVICE_TYPE),
            "port": info.port,
            "addresses": sorted(info.parsed_addresses()),
            **texts,
        }
        if told.get(name) != what:
            told[name] = what
            tell(what)


def tell(what: dict[str, object]) -> None:
    print(json.dumps(what), flush=True)


def main() -> None:
    verb, address = sys.argv[1:3]
    zeroconf = Zeroconf(interfaces=[address])
    names = Names()
    if verb == "browse":
        ServiceBrowser(zeroconf, SERVICE_TYPE, names)
    else:
        liar = ServiceInfo(
            SERVICE_TYPE,
            f"{sys.argv[3]}.{SERVICE_TYPE}",
            port=7443,
            properties={"id": sys.argv[3], "pairing": "unpaired"},
            server="liar.local.",
            addresses=[socket.inet_aton(address)],
        )
        zeroconf.register_service(liar, cooperating_responders=True)
    tell({"ready": True})
    told: dict[str, dict[str, object]] = {}
    while True:
        look(zeroconf, names, told)
        time.sleep(0.2)


if __name__ == "__main__":
    main()
