"""Key material of one's own, wrapped as the documentation says, through the official client."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, keywrap, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from google.api_core import exceptions
from google.cloud import kms

from twin.process import Running

PARENT = "projects/staging-twin/locations/us"


@pytest.fixture
def client(twin: Running) -> Iterator[Any]:
    made: Any = kms.KeyManagementServiceClient(transport="grpc")
    yield made
    made.transport.close()


def wrapped(job: Any, material: bytes) -> bytes:
    """RSA_OAEP_3072_SHA256_AES_256: an AES key under the job's RSA key, the material under the AES key."""
    ephemeral = os.urandom(32)
    oaep = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
    public: Any = serialization.load_pem_public_key(job.public_key.pem.encode())
    return bytes(public.encrypt(ephemeral, oaep)) + keywrap.aes_key_wrap_with_padding(ephemeral, material)


@pytest.fixture
def ring(client: Any, unique: str) -> str:
    return str(client.create_key_ring(parent=PARENT, key_ring_id=unique, key_ring={}).name)


def make_job(client: Any, ring: str) -> Any:
    levels, methods = kms.ProtectionLevel, kms.ImportJob.ImportMethod
    wanted = {"import_method": methods.RSA_OAEP_3072_SHA256_AES_256, "protection_level": levels.SOFTWARE}
    made = client.create_import_job(parent=ring, import_job_id="j", import_job=wanted)
    assert made.state == kms.ImportJob.ImportJobState.PENDING_GENERATION
    return client.get_import_job(name=made.name)


def make_key(client: Any, ring: str) -> str:
    body = {"purpose": kms.CryptoKey.CryptoKeyPurpose.ENCRYPT_DECRYPT, "import_only": True}
    request = {"parent": ring, "crypto_key_id": "k", "crypto_key": body, "skip_initial_version_creation": True}
    return str(client.create_crypto_key(request=request).name)


def test_imported_material_is_what_decrypts(client: Any, ring: str) -> None:
    job, key, material = make_job(client, ring), make_key(client, ring), os.urandom(32)
    assert job.state == kms.ImportJob.ImportJobState.ACTIVE
    algorithm = kms.CryptoKeyVersion.CryptoKeyVersionAlgorithm.GOOGLE_SYMMETRIC_ENCRYPTION
    request = {"parent": key, "algorithm": algorithm, "import_job": job.name, "wrapped_key": wrapped(job, material)}
    version = client.import_crypto_key_version(request=request)
    assert version.import_job == job.name
    with pytest.raises(exceptions.FailedPrecondition):
        client.encrypt(name=key, plaintext=b"secret")
    client.update_crypto_key_primary_version(name=key, crypto_key_version_id=version.name.rpartition("/")[2])
    sealed = client.encrypt(name=key, plaintext=b"secret").ciphertext
    assert client.decrypt(name=key, ciphertext=sealed).plaintext == b"secret"


def test_material_that_does_not_fit_is_refused(client: Any, ring: str) -> None:
    job, key = make_job(client, ring), make_key(client, ring)
    algorithm = kms.CryptoKeyVersion.CryptoKeyVersionAlgorithm.GOOGLE_SYMMETRIC_ENCRYPTION
    request = {"parent": key, "algorithm": algorithm, "import_job": job.name}
    with pytest.raises(exceptions.InvalidArgument, match="needs 32"):
        client.import_crypto_key_version(request={**request, "wrapped_key": wrapped(job, os.urandom(16))})
    with pytest.raises(exceptions.InvalidArgument, match="could not be unwrapped"):
        client.import_crypto_key_version(request={**request, "wrapped_key": os.urandom(424)})


def test_a_job_ends_after_three_days(client: Any, ring: str, twin: Running) -> None:
    job, key = make_job(client, ring), make_key(client, ring)
    twin.admin("POST", "clock", {"advance": 3 * 86_400 + 1})
    assert client.get_import_job(name=job.name).state == kms.ImportJob.ImportJobState.EXPIRED
    algorithm = kms.CryptoKeyVersion.CryptoKeyVersionAlgorithm.GOOGLE_SYMMETRIC_ENCRYPTION
    request = {
        "parent": key,
        "algorithm": algorithm,
        "import_job": job.name,
        "wrapped_key": wrapped(job, os.urandom(32)),
    }
    with pytest.raises(exceptions.FailedPrecondition, match="EXPIRED"):
        client.import_crypto_key_version(request=request)
