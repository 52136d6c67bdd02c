"""Where notifications may be sent: http(s) only, to the hosts the site allows (no request forged through us).

https://hl7.org/fhir/R4/subscription.html#safety; words of a policy: loopback, public, private, *, a name glob or a network.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from urllib.parse import urlsplit

from icops_fhir.fhir.issue import Issue

KINDS = ("loopback", "public", "private")
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Policy:
    """The hosts a subscriber may name. The default suits development; a site opens its own networks by name."""

    allow: tuple[str, ...] = ("loopback", "public")

    def __post_init__(self) -> None:
        self._networks()    # a network that is none is said when the service starts

    def names(self, host: str) -> bool:
        """Whether this name is allowed as such, whatever it resolves to."""
        return any(fnmatchcase(host.lower(), word.lower()) for word in self.allow if word not in KINDS and "/" not in word)

    def reaches(self, host: str, address: str) -> bool:
        """Whether that host may be spoken to at that address: asked again at each delivery, since names move."""
        ip = _address(address)
        return ip is not None and (self.names(host) or _kind(ip) in self.allow or self._listed(ip))

    def trusts(self, host: str) -> bool:
        """Whether the way there is the site's own: loopback, or allowed by its name or network."""
        ip = _address("127.0.0.1" if _local(host) else host)
        return self.names(host) or (ip is not None and (_kind(ip) in ("loopback", "private") or self._listed(ip)))

    def _listed(self, ip: Address) -> bool:
        return any(ip in network for network in self._networks() if network.version == ip.version)

    def _networks(self) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
        return [ipaddress.ip_network(word, strict=False) for word in self.allow if "/" in word]


def check(url: str, policy: Policy) -> list[Issue]:
    """What keeps this address from being notified, as far as its text tells."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return [_issue(f"{url!r} is no address", f"{url!r} n'est pas une adresse")]
    if parts.scheme not in ("http", "https"):
        return [_issue(f"a rest-hook endpoint starts with https:// or http://, not {parts.scheme or url!r}",
                       f"l'adresse d'un rest-hook commence par https:// ou http://, pas {parts.scheme or url!r}")]
    if not host or port == 0 or any(letter.isspace() for letter in url):
        return [_issue(f"{url!r} names no host", f"{url!r} ne nomme aucune machine")]
    if parts.username or parts.password:
        return [_issue("put credentials in channel.header (Authorization: …), not in the address",
                       "mettez les identifiants dans channel.header (Authorization: …), pas dans l'adresse")]
    if parts.fragment:
        return [_issue("an endpoint has no #fragment", "l'adresse n'a pas de #fragment")]
    address = "127.0.0.1" if _local(host) else host
    if _address(address) is not None and not policy.reaches(host, address):
        return [_issue(f"this server does not notify {host}; ask its operator to allow it (ICOPS_SUBSCRIBERS)",
                       f"ce serveur ne notifie pas {host} ; demandez à son exploitant de l'autoriser (ICOPS_SUBSCRIBERS)")]
    return []


def private(url: str, policy: Policy) -> bool:
    """Whether nobody on the way can read what is sent: https, or a network of the site's own."""
    try:
        parts = urlsplit(url)
        return parts.scheme != "http" or policy.trusts(parts.hostname or "")
    except ValueError:
        return True     # said by `check`


def _kind(ip: Address) -> str:
    if ip.is_loopback:
        return "loopback"
    if ip.is_unspecified or ip.is_multicast or ip.is_link_local or ip.is_reserved:
        return "never"      # cloud metadata (169.254.169.254) and the like: only a network or a name opens them
    return "public" if ip.is_global else "private"


def _address(text: str) -> Address | None:
    try:
        ip = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(ip, "ipv4_mapped", None) or ip


def _local(host: str) -> bool:
    return host == "localhost" or host.endswith(".localhost")


def _issue(english: str, french: str) -> Issue:
    return Issue("error", "value", f"Endpoint: {english}.", ("Subscription.channel.endpoint",), rule="icops-subscription-endpoint",
                 french=f"Adresse : {french}.")
