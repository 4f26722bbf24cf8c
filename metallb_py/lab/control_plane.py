"""Control planes of the lab: real Kubernetes programs, or the embedded API server."""

from __future__ import annotations

import json
import secrets
import socket
import ssl
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol
from urllib.error import URLError
from urllib.request import Request, urlopen

from metallb_py.lab.binaries import Kubernetes
from metallb_py.lab.network import CONTROL_PLANE
from metallb_py.lab.processes import Program, Programs, wait_until
from metallb_py.runtime.pki import Authority, key_pair

PORT = 6443
NAMESPACE = "metallb-system"
SERVICE_CIDR = "10.96.0.0/16"
START_SECONDS = 60

# Users, each with its name and group; each has a token and a kubeconfig of its own.
USERS = {
    "admin": ("admin", "system:masters"),
    "controller-manager": ("system:kube-controller-manager", "system:masters"),
    "kube-proxy": ("system:kube-proxy", "system:masters"),
    "controller": (f"system:serviceaccount:{NAMESPACE}:controller", "system:serviceaccounts"),
    "speaker": (f"system:serviceaccount:{NAMESPACE}:speaker", "system:serviceaccounts"),
}


def kubeconfig_of(folder: Path, user: str = "admin") -> Path:
    """Return the path of the credentials of one of USERS, in a lab's folder."""
    return folder / f"{user}.kubeconfig"


class ControlPlane(Protocol):
    """An API server that can be started, killed and started again."""

    description: str

    def start(self) -> None:
        """Start it and wait until it answers. Raises LabError."""

    def kill(self) -> None:
        """Kill the API server, as a crash would."""

    def restart(self) -> None:
        """Start the API server again after a kill, with its objects where they are stored."""

    def kubeconfig(self, user: str) -> Path:
        """Return the credentials of one of USERS."""


class Embedded:
    """This project's own API server."""

    description = "embedded API server"

    def __init__(self, programs: Programs) -> None:
        self._programs = programs
        self._server: Program | None = None

    def start(self) -> None:
        """Start the server and wait for its port."""
        for user in USERS:
            _write_kubeconfig(self.kubeconfig(user), f"http://{CONTROL_PLANE}:{PORT}")
        self.restart()

    def kill(self) -> None:
        """Kill the server. Its objects are lost."""
        if self._server is not None:
            self._server.kill()

    def restart(self) -> None:
        """Start a new server."""
        module = "metallb_py.lab.apiserver"
        self._server = self._programs.start(
            "apiserver", sys.executable, "-m", module, CONTROL_PLANE, str(PORT)
        )
        wait_until("embedded API server", START_SECONDS, _listens, self._server)

    def kubeconfig(self, user: str) -> Path:
        """Return the credentials of a user; here those of all users are equal."""
        return kubeconfig_of(self._programs.folder, user)


class Real:
    """etcd, kube-apiserver and kube-controller-manager, with RBAC in force."""

    def __init__(self, programs: Programs, kubernetes: Kubernetes) -> None:
        self.description = f"kube-apiserver {kubernetes.version}"
        self._programs = programs
        self._kubernetes = kubernetes
        self._server: Program | None = None
        self._tokens = {user: secrets.token_hex(16) for user in USERS}

    def start(self) -> None:
        """Start everything and wait until the API server is ready."""
        folder = self._programs.folder
        write_certificates(folder, [CONTROL_PLANE, "10.96.0.1"])
        lines = [
            f'{self._tokens[user]},{name},{name},"{group}"' for user, (name, group) in USERS.items()
        ]
        tokens = folder / "tokens.csv"
        tokens.touch(mode=0o600)
        tokens.write_text("\n".join(lines) + "\n")
        server = f"https://{CONTROL_PLANE}:{PORT}"
        for user in USERS:
            _write_kubeconfig(self.kubeconfig(user), server, folder / "ca.crt", self._tokens[user])
        self._write_admission_configuration()
        self._start_etcd()
        self.restart()
        self._start_controller_manager()

    def kill(self) -> None:
        """Kill the API server; etcd keeps its objects."""
        if self._server is not None:
            self._server.kill()

    def restart(self) -> None:
        """Start the API server and wait until it is ready."""
        folder = self._programs.folder
        self._server = self._programs.start(
            "apiserver",
            str(self._kubernetes.apiserver),
            "--etcd-servers=http://127.0.0.1:2379",
            f"--bind-address={CONTROL_PLANE}",
            f"--advertise-address={CONTROL_PLANE}",
            f"--secure-port={PORT}",
            f"--service-cluster-ip-range={SERVICE_CIDR}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={folder / 'sa.pub'}",
            f"--service-account-signing-key-file={folder / 'sa.key'}",
            f"--token-auth-file={folder / 'tokens.csv'}",
            f"--tls-cert-file={folder / 'server.crt'}",
            f"--tls-private-key-file={folder / 'server.key'}",
            f"--client-ca-file={folder / 'ca.crt'}",
            "--authorization-mode=RBAC",
            "--allow-privileged=true",
            "--disable-admission-plugins=ServiceAccount",
            f"--admission-control-config-file={folder / 'admission.yaml'}",
            "--shutdown-delay-duration=0s",
            # This machine has no proxy: a webhook's Service is resolved to its endpoints.
            "--enable-aggregator-routing=true",
        )
        wait_until("kube-apiserver", START_SECONDS, self._is_ready, self._server)

    def kubeconfig(self, user: str) -> Path:
        """Return the credentials of a user."""
        return kubeconfig_of(self._programs.folder, user)

    def _write_admission_configuration(self) -> None:
        """Make the API server show a client certificate to our webhook (docs/operations.md)."""
        folder, group = self._programs.folder, "apiserver.config.k8s.io/v1"
        kubeconfig = folder / "webhooks.kubeconfig"
        settings = {
            "apiVersion": group,
            "kind": "WebhookAdmissionConfiguration",
            "kubeConfigFile": str(kubeconfig),
        }
        plugin = {"name": "ValidatingAdmissionWebhook", "configuration": settings}
        admission = {"apiVersion": group, "kind": "AdmissionConfiguration", "plugins": [plugin]}
        certificate = {
            "client-certificate": str(folder / "webhook-client.crt"),
            "client-key": str(folder / "webhook-client.key"),
        }
        user = {"name": f"webhook-service.{NAMESPACE}.svc", "user": certificate}
        (folder / "admission.yaml").write_text(json.dumps(admission))
        kubeconfig.write_text(json.dumps({"apiVersion": "v1", "kind": "Config", "users": [user]}))

    def _start_etcd(self) -> None:
        folder = self._programs.folder
        etcd = self._programs.start(
            "etcd",
            str(self._kubernetes.etcd),
            f"--data-dir={folder / 'etcd'}",
            "--listen-client-urls=http://127.0.0.1:2379",
            "--advertise-client-urls=http://127.0.0.1:2379",
            "--listen-peer-urls=http://127.0.0.1:2380",
            "--unsafe-no-fsync",
        )
        wait_until("etcd", START_SECONDS, lambda: _listens("127.0.0.1", 2379), etcd)

    def _start_controller_manager(self) -> None:
        folder = self._programs.folder
        kubeconfig = self.kubeconfig("controller-manager")
        self._programs.start(
            "controller-manager",
            str(self._kubernetes.controller_manager),
            f"--kubeconfig={kubeconfig}",
            f"--authentication-kubeconfig={kubeconfig}",
            f"--authorization-kubeconfig={kubeconfig}",
            "--controllers=endpoint,endpointslice,serviceaccount,namespace",
            "--leader-elect=false",
            f"--service-account-private-key-file={folder / 'sa.key'}",
            # The default, 20 requests a second, slows down a lab that creates many services.
            "--kube-api-qps=200",
            "--kube-api-burst=400",
        )

    def _is_ready(self) -> bool:
        if not _listens():
            return False
        context = ssl.create_default_context(cafile=str(self._programs.folder / "ca.crt"))
        headers = {"Authorization": f"Bearer {self._tokens['admin']}"}
        request = Request(f"https://{CONTROL_PLANE}:{PORT}/readyz", headers=headers)
        try:
            with urlopen(request, timeout=2, context=context) as answer:
                return bool(answer.status == 200)
        except (URLError, OSError):
            return False


def _listens(address: str = CONTROL_PLANE, port: int = PORT) -> bool:
    try:
        socket.create_connection((address, port), 1).close()
    except OSError:
        return False
    return True


def _write_kubeconfig(path: Path, server: str, ca: Path | None = None, token: str = "") -> None:
    cluster: dict[str, str] = {"server": server}
    if ca is not None:
        cluster["certificate-authority"] = str(ca)
    path.touch(mode=0o600)
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "lab", "cluster": cluster}],
        "users": [{"name": "lab", "user": {"token": token} if token else {}}],
        "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": "lab"}}],
        "current-context": "lab",
    }
    path.write_text(json.dumps(config, indent=2))


VALID = timedelta(days=1)
WEBHOOK_CLIENT = "lab-apiserver"


def write_certificates(folder: Path, addresses: list[str]) -> None:
    """Write ca.crt, server.crt and server.key, and sa.key and sa.pub for service accounts.

    Also write webhook-client.crt and webhook-client.key, which the API server shows to webhooks.
    """
    now = datetime.now(UTC)
    authority = Authority.create("lab-ca", now, VALID)
    server = authority.issue("kube-apiserver", addresses, now, VALID)
    client = authority.issue(WEBHOOK_CLIENT, [WEBHOOK_CLIENT], now, VALID)
    private, public = key_pair()
    (folder / "ca.crt").write_bytes(authority.certificate)
    (folder / "server.crt").write_bytes(server.certificate)
    (folder / "sa.pub").write_bytes(public)
    (folder / "webhook-client.crt").write_bytes(client.certificate)
    _write_secret(folder / "webhook-client.key", client.key)
    _write_secret(folder / "server.key", server.key)
    _write_secret(folder / "sa.key", private)


def _write_secret(path: Path, data: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(data)
