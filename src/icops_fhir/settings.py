"""Every setting of the service, one line per variable: name, type, default, help in English and French.

Read once, at the top floor (`app.py`, `cli.py`), and handed down. `ICOPS_X_FILE` names a file for each secret `ICOPS_X`.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any

PREFIX = "ICOPS_"


class SettingsError(Exception):
    """A setting that the service cannot start with; the message is in English and French."""


def _variable(default: Any, english: str, french: str, *, secret: bool = False) -> Any:
    return field(default=default, metadata={"en": english, "fr": french, "secret": secret})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The table: `ICOPS_` + the upper-case name is the variable; lists are separated by commas."""

    database_url: str = _variable("sqlite:///icops-fhir.db", "where the data is kept", "où sont gardées les données")
    host: str = _variable("127.0.0.1", "address of the HTTP server", "adresse du serveur HTTP")
    port: int = _variable(8080, "port of the HTTP server (0: any free one)", "port du serveur HTTP (0 : un port libre)")
    base_url: str = _variable("", "public address of FHIR, behind a proxy (https://…/fhir)", "adresse publique de FHIR, derrière un proxy (https://…/fhir)")
    token: str = _variable("", "bearer token asked from every client", "jeton demandé à chaque client", secret=True)
    mllp_host: str = _variable("127.0.0.1", "address of the MLLP server", "adresse du serveur MLLP")
    mllp_port: int = _variable(2575, "port of the MLLP server (0: any free one, -1: none)", "port du serveur MLLP (0 : un port libre, -1 : aucun)")
    mllp_peers: tuple[str, ...] = _variable((), "networks allowed to speak MLLP (10.1.0.0/16,…)", "réseaux autorisés à parler MLLP (10.1.0.0/16,…)")
    mllp_certificate: str = _variable("", "TLS certificate of the MLLP server (PEM file)", "certificat TLS du serveur MLLP (fichier PEM)")
    mllp_key: str = _variable("", "its private key (PEM file)", "sa clé privée (fichier PEM)")
    mllp_clients: str = _variable("", "authorities that sign the client certificates (PEM file)", "autorités qui signent les certificats des clients (fichier PEM)")
    mllp_frame_limit: int = _variable(32 << 20, "largest message, in bytes", "plus grand message, en octets")
    mllp_connections: int = _variable(256, "MLLP connections at one time", "connexions MLLP simultanées")
    mllp_idle_seconds: float = _variable(300.0, "silence after which an MLLP connection is closed", "silence après lequel une connexion MLLP est fermée")
    sites: str = _variable("", "JSON file of the sites and of the outbound routes", "fichier JSON des sites et des routes sortantes")
    subscribers: tuple[str, ...] = _variable(("loopback", "public"), "where notifications may go: loopback, private, public, a name, a network", "où les notifications peuvent aller : loopback, private, public, un nom, un réseau")
    body_limit: int = _variable(16 << 20, "largest HTTP body, in bytes", "plus grand corps HTTP, en octets")
    bundle_entries: int = _variable(5000, "entries of one batch or transaction", "entrées d'un lot ou d'une transaction")
    page_size: int = _variable(50, "resources of one page when the client does not say", "ressources d'une page quand le client ne le dit pas")
    page_limit: int = _variable(500, "largest page", "plus grande page")
    http_connections: int = _variable(1024, "HTTP requests at one time; beyond: 503", "requêtes HTTP simultanées ; au-delà : 503")
    write_queue: int = _variable(1024, "writes that may wait; beyond: 429", "écritures en attente ; au-delà : 429")
    search_seconds: float = _variable(10.0, "time a search may take; beyond: 503", "durée permise à une recherche ; au-delà : 503")
    peer_seconds: float = _variable(10.0, "time a subscriber or an MLLP receiver has to answer", "temps laissé à un abonné ou à un destinataire MLLP pour répondre")
    drain_seconds: float = _variable(10.0, "time to finish what is under way when stopping", "temps pour finir ce qui est en cours à l'arrêt")
    log_level: str = _variable("info", "debug, info, warning, error", "debug, info, warning, error")


VARIABLES: Mapping[str, Field[Any]] = {PREFIX + item.name.upper(): item for item in fields(Settings)}


def read(environment: Mapping[str, str], **overrides: Any) -> Settings:
    """The settings of this environment; an override that is None leaves the variable as it is."""
    values: dict[str, Any] = {}
    for name, item in VARIABLES.items():
        text = environment.get(name)
        file = environment.get(f"{name}_FILE") if item.metadata["secret"] else None
        if file:
            try:
                text = Path(file).read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                raise SettingsError(f"{name}_FILE: {file} cannot be read. / {file} ne peut pas être lu.") from error
        if text is not None and text != "":
            values[item.name] = _value(name, text, item.default)
    values.update({name: value for name, value in overrides.items() if value is not None})
    settings = Settings(**values)
    _refuse_ports(settings)
    return settings


def _refuse_ports(settings: Settings) -> None:
    """TCP has ports 1 to 65535; 0 asks for any free one, -1 is no MLLP server."""
    for name, port, lowest in (("ICOPS_PORT", settings.port, 0), ("ICOPS_MLLP_PORT", settings.mllp_port, -1)):
        if not lowest <= port <= 65535:
            raise SettingsError(f"{name}={port}: a port is between {lowest} and 65535. / un port est entre {lowest} et 65535.")


def refuse_unsafe(settings: Settings) -> None:
    """Outside loopback, HTTP asks for a token and MLLP for client certificates or a list of peers.

    HTTP: docs/decisions (first authentication); MLLP: IHE ITI TF-2 3.19 (node authentication).
    """
    problems = []
    if not _loopback(settings.host) and not settings.token:
        problems.append(
            f"ICOPS_HOST={settings.host} is open to the network: set ICOPS_TOKEN or ICOPS_TOKEN_FILE. / "
            f"ICOPS_HOST={settings.host} est ouvert au réseau : donnez ICOPS_TOKEN ou ICOPS_TOKEN_FILE."
        )
    certified = settings.mllp_certificate and settings.mllp_clients
    if settings.mllp_port >= 0 and not _loopback(settings.mllp_host) and not certified and not settings.mllp_peers:
        problems.append(
            f"ICOPS_MLLP_HOST={settings.mllp_host} is open to the network: set ICOPS_MLLP_PEERS, or ICOPS_MLLP_CERTIFICATE and ICOPS_MLLP_CLIENTS. / "
            f"ICOPS_MLLP_HOST={settings.mllp_host} est ouvert au réseau : donnez ICOPS_MLLP_PEERS, ou ICOPS_MLLP_CERTIFICATE et ICOPS_MLLP_CLIENTS."
        )
    if problems:
        raise SettingsError("\n".join(problems))


def table(language: str = "en") -> str:
    """The variables as a Markdown table, for the documentation and `--help`."""
    rows = [f"| `{name}` | {_kind(item.default)} | `{_shown(item.default)}` | {item.metadata[language]} |" for name, item in VARIABLES.items()]
    head = ("| variable | type | default | |", "| variable | type | défaut | |")[language == "fr"]
    return "\n".join((head, "|---|---|---|---|", *rows))


def _value(name: str, text: str, default: Any) -> Any:
    try:
        if isinstance(default, tuple):
            return tuple(part.strip() for part in text.split(",") if part.strip())
        return type(default)(text)
    except ValueError as error:
        raise SettingsError(f"{name}={text!r}: {_kind(default)} expected. / {_kind(default)} attendu.") from error


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _kind(default: Any) -> str:
    return {str: "text", int: "integer", float: "number", tuple: "list"}[type(default)]


def _shown(default: Any) -> str:
    return ",".join(default) if isinstance(default, tuple) else str(default)
