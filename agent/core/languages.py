"""The languages of the contract, as a Debian PC names them."""

from contract.desired import Language

LOCALES: dict[Language, str] = {"it": "it_IT.UTF-8", "en": "en_GB.UTF-8", "ro": "ro_RO.UTF-8"}
"""See locale(7)."""
