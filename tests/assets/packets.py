"""Packets made by scapy, and what the guard must say of each: one JSON object a line.

state "plain": default rules. "denied": the sources are banned. "allowed": they are allowed.
"""

import json

from scapy.all import (
    AH, ARP, Dot1AD, Dot1Q, Ether, ICMP, ICMPv6DestUnreach, ICMPv6EchoRequest, ICMPv6ND_NS, IP,
    IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop, IPv6ExtHdrRouting, PadN, Raw,
    TCP, UDP, fragment, fragment6, raw,
)
from scapy.layers.l2 import LLC

E = Ether(src="02:00:00:00:00:02", dst="02:00:00:00:00:01")
V4 = IP(src="192.0.2.7", dst="198.51.100.1")
V6 = IPv6(src="2001:db8::7", dst="2001:db8:1::1")
SYN = TCP(sport=40000, dport=80, flags="S", options=[("MSS", 1460), ("SAckOK", b""),
          ("Timestamp", (1, 0)), ("NOP", None), ("WScale", 7)])
DATA = TCP(sport=40000, dport=80, flags="PA") / Raw(b"GET / HTTP/1.1\r\n\r\n")
UDP53 = UDP(sport=40000, dport=53) / Raw(b"hello")
DEST = IPv6ExtHdrDestOpt(options=[PadN(optdata=b"\0" * 4)])
EXTENSIONS = [IPv6ExtHdrHopByHop(options=[PadN(optdata=b"\0" * 4)]), DEST,
              IPv6ExtHdrRouting(type=4, segleft=0), IPv6ExtHdrFragment(id=1), AH(nh=6, payloadlen=4, icv=b"\0" * 12)]


def stack(*layers):
    packet = layers[0]
    for layer in layers[1:]:
        packet = packet / layer.copy()
    return packet


def wholes():
    """Packets that nothing speaks against."""
    for family, network in (("v4", V4), ("v6", V6)):
        echo = ICMP() if family == "v4" else ICMPv6EchoRequest()
        for name, transport in (("syn", SYN), ("data", DATA), ("udp", UDP53), ("echo", echo)):
            for tags, link in (
                ("", E),
                ("vlan", E / Dot1Q(vlan=42)),
                ("qinq", E / Dot1AD(vlan=7) / Dot1Q(vlan=42)),
                ("two 802.1q", E / Dot1Q(vlan=7) / Dot1Q(vlan=42)),
            ):
                yield f"{family} {name} {tags}", stack(link, network, transport)
    yield "v4 options", stack(E, IP(src="192.0.2.7", dst="198.51.100.1", options=[b"\x94\x04\0\0"]), SYN)
    for index, header in enumerate(EXTENSIONS):
        yield f"v6 extension {index}", stack(E, V6, header, SYN)
    yield "v6 every extension", stack(E, V6, *EXTENSIONS, SYN)
    yield "v6 eight extensions", stack(E, V6, *[DEST] * 8, SYN)
    yield "v6 solicitation", stack(E, V6, ICMPv6ND_NS(tgt="2001:db8::1"))
    yield "v6 unreachable", stack(E, V6, ICMPv6DestUnreach())


def cases():
    for name, packet in wholes():
        yield name, raw(packet), "passed", "whole"
    yield "arp", raw(E / ARP()), "not_ip", "link"
    yield "llc", raw(E / LLC() / Raw(b"\0" * 40)), "not_ip", "link"
    yield "three tags", raw(stack(E, Dot1Q(), Dot1Q(), Dot1Q(), V4, SYN)), "unread", "link"
    yield "v6 nine extensions", raw(stack(E, V6, *[DEST] * 9, SYN)), "unread", "source"
    big = V4 / UDP(sport=40000, dport=53) / Raw(b"x" * 3000)
    for index, piece in enumerate(fragment(big, fragsize=1000)):
        yield f"v4 fragment {index}", raw(E / piece), "fragment" if index else "passed", "whole"
    big = V6 / IPv6ExtHdrFragment(id=1) / UDP(sport=40000, dport=53) / Raw(b"x" * 3000)
    for index, piece in enumerate(fragment6(big, 1280)):
        yield f"v6 fragment {index}", raw(E / piece), "fragment" if index else "passed", "whole"
    for flags in ("", "F", "SF", "SR", "FPU", "SFRPAUEC"):
        for family, network in (("v4", V4), ("v6", V6)):
            packet = stack(E, network, TCP(sport=40000, dport=80, flags=flags))
            yield f"{family} flags {flags or 'none'}", raw(packet), "tcp_flags", "source"
    for offset in (0, 4, 15):
        packet = stack(E, V4, TCP(sport=40000, dport=80, flags="A", dataofs=offset))
        yield f"v4 tcp header of {offset}", raw(packet), "malformed", "source"
    yield "v4 header of 4", raw(stack(E, IP(src="192.0.2.7", dst="198.51.100.1", ihl=4), DATA)), "malformed", "source"
    yield "v4 too long", raw(stack(E, IP(src="192.0.2.7", dst="198.51.100.1", len=1400), SYN)), "malformed", "source"
    yield "v6 too long", raw(stack(E, IPv6(src="2001:db8::7", dst="2001:db8:1::1", plen=1400), SYN)), "malformed", "source"


def cut(name, frame):
    """Every length from an Ethernet header on: no stack would take any of them."""
    for length in range(14, len(frame)):
        yield f"{name} cut to {length}", frame[:length]


def addresses_end(frame):
    """Where the source address has been read."""
    kind = 12
    while frame[kind:kind + 2] in (b"\x81\0", b"\x88\xa8"):
        kind += 4
    return kind + 2 + (20 if frame[kind:kind + 2] == b"\x08\0" else 40)


def show(name, frame, verdict, known):
    print(json.dumps({"name": name, "frame": frame.hex(), "verdict": verdict, "known": known}))


for name, frame, verdict, known in cases():
    show(name, frame, verdict, known != "link")
    if known == "whole" and verdict == "passed":
        for cut_name, shorter in cut(name, frame):
            show(cut_name, shorter, "malformed", len(shorter) >= addresses_end(frame))
