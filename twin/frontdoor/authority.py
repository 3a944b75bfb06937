"""The twin's own certificate authority: one per twin, limited by name constraints to the hosts that the twin answers for."""

from __future__ import annotations

import datetime
import ipaddress
import os
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import certifi
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DOMAINS = ("googleapis.com", "accounts.google.com", "metadata.google.internal", "run.app", "api.neo4j.io", "localhost")

# A wildcard stands for one label only, so that Cloud Run's regional hosts need their regions named.
_RUN_REGIONS = (
    "us-central1", "us-east1", "us-east4", "us-west1", "europe-west1", "europe-west2", "europe-west3", "europe-west4",
    "asia-east1", "asia-northeast1", "asia-southeast1", "australia-southeast1",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Authority:
    """Files of the authority, all in the twin's state folder."""

    certificate: Path
    bundle: Path
    """certifi's roots and ours: what a client is pointed at, so that package indexes keep working."""
    leaf: Path
    leaf_key: Path

    def server_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.leaf, self.leaf_key)
        context.set_alpn_protocols(["http/1.1"])
        return context

    def server_context_for_bolt(self) -> ssl.SSLContext:
        """The same certificate for Bolt, which knows no ALPN name."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.leaf, self.leaf_key)
        return context


def make(folder: Path, extra_hosts: Sequence[str] = ()) -> Authority:
    """The authority kept in `folder`, made on first use. Extra hosts are the environment's own."""
    paths = Authority(folder / "ca.pem", folder / "ca-bundle.pem", folder / "leaf.pem", folder / "leaf.key")
    if all(path.exists() for path in (paths.certificate, paths.bundle, paths.leaf, paths.leaf_key)):
        return paths
    domains = [*DOMAINS, *extra_hosts]
    now = datetime.datetime.now(datetime.UTC)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Regreen twin, this machine only")])
    # Names only: gRPC's TLS library refuses an authority that also constrains addresses.
    permitted: list[x509.GeneralName] = [x509.DNSName(domain) for domain in domains]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=90))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.NameConstraints(permitted, None), critical=True)
        .add_extension(_usage(sign_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    leaf_key = ec.generate_private_key(ec.SECP256R1())
    names: list[x509.GeneralName] = [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    for domain in domains:
        names.append(x509.DNSName(domain))
        if domain.count(".") < 2 and domain != "localhost":
            names.append(x509.DNSName(f"*.{domain}"))
    names += [
        x509.DNSName("*.mtls.googleapis.com"),
        x509.DNSName("*.rep.googleapis.com"),
        x509.DNSName("*.storage.googleapis.com"),
        x509.DNSName("*.a.run.app"),
        *(x509.DNSName(f"*.{region}.run.app") for region in _RUN_REGIONS),
    ]
    leaf = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Regreen twin")]))
        .issuer_name(name)
        .public_key(leaf_key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=90))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(sign_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    # The authority's key is not kept: nothing else can ever be signed in its name.
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    private = leaf_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    write_private(paths.leaf_key, private)
    write_private(paths.leaf, leaf.public_bytes(serialization.Encoding.PEM) + pem)
    write_private(paths.certificate, pem)
    write_private(paths.bundle, Path(certifi.where()).read_bytes() + b"\n" + pem)
    return paths


def _usage(sign_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner can read, and put it in place whole."""
    partial = path.with_name(path.name + ".partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    partial.replace(path)
