"""On the lab's server: when a PC is first heard to announce itself; prints that, by the monotonic clock.

python3 announced.py STATION ADDRESS. Says "watching", then one line with the
time of the first multicast DNS packet from the PC itself that names its service.
"""

import socket
import struct
import sys
import time


def main() -> None:
    station, address = sys.argv[1:]
    ear = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    ear.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    ear.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    ear.bind(("224.0.0.251", 5353))
    group = struct.pack("4s4s", socket.inet_aton("224.0.0.251"), socket.inet_aton("0.0.0.0"))
    ear.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)
    print("watching", flush=True)
    while True:
        packet, (host, _port) = ear.recvfrom(9000)
        answer = packet[2] & 0x80
        if answer and host == address and station.encode() in packet and b"_lab-agent" in packet:
            print(time.monotonic(), flush=True)
            return


main()
