"""The version of the whole release; both sides say it in status and in mDNS."""

VERSION = "0.1.0"
