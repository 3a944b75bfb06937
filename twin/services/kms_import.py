"""Importing key material: jobs with a real wrapping key, and the unwrapping of what a client sends.

https://cloud.google.com/kms/docs/key-import, https://cloud.google.com/kms/docs/wrapping-a-key
"""

from __future__ import annotations

import base64
import re
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, keywrap, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from twin.kernel import standard
from twin.kernel.errors import failed_precondition, invalid, unimplemented
from twin.kernel.names import collection_of
from twin.kernel.semantics import Call, Rule
from twin.kernel.types import Body, after, rfc3339

_JOB_LIFE = 3 * 86_400.0


def create_job(call: Call, body: Body) -> None:
    """A job is PENDING_GENERATION in the answer to its creation and ACTIVE when it is next looked at."""
    method = str(body.get("importMethod", ""))
    match = re.match(r"^RSA_OAEP_(3072|4096)_(SHA1|SHA256)(_AES_256)?$", method)
    if match is None:
        if method.startswith("HPKE"):
            raise unimplemented(f"the import method {method}")
        raise invalid("The request was invalid: import_job.import_method must be specified.")
    if not body.get("protectionLevel"):
        raise invalid("The request was invalid: import_job.protection_level must be specified.")
    key = rsa.generate_private_key(65537, int(match[1]))
    raw = key.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    pem = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    body.update(state="PENDING_GENERATION", createTime=call.stamp, expireTime=rfc3339(after(call.now, _JOB_LIFE)))
    body["~material"] = base64.b64encode(raw).decode()
    body["~public"], body["~ready"] = pem.decode(), call.stamp


def view_job(call: Call, _name: str, body: Body) -> Body:
    if call.method.kind == "create":
        return body
    shown = {**body, "state": "ACTIVE", "generateTime": body["~ready"], "publicKey": {"pem": body["~public"]}}
    if body["expireTime"] <= call.stamp:
        shown["state"], shown["expireEventTime"] = "EXPIRED", body["expireTime"]
        del shown["publicKey"]
    return shown


def import_version(call: Call) -> Body:
    """cryptoKeyVersions.import: a new version, or a destroyed imported one again, with the client's own material."""
    from twin.services.kms import add_version, visible_version

    key = collection_of(call.name)
    body = call.copy(key)
    job = call.need(f"cloudkms/{call.body.get('importJob', '')}")
    if job["expireTime"] <= call.stamp:
        raise failed_precondition(f"ImportJob {job['name']} is not active, current state is: EXPIRED.")
    algorithm = call.body.get("algorithm") or body["versionTemplate"]["algorithm"]
    if algorithm != body["versionTemplate"]["algorithm"]:
        raise invalid(
            f"The algorithm {algorithm} does not match the CryptoKey's {body['versionTemplate']['algorithm']}."
        )
    if job["protectionLevel"] != body["versionTemplate"].get("protectionLevel", "SOFTWARE"):
        raise invalid("The protection level of the ImportJob does not match the CryptoKey's.")
    material = _unwrapped(job, call.body)
    _check(algorithm, material)
    again = call.body.get("cryptoKeyVersion", "")
    if again:
        name = f"cloudkms/{again}"
        if not visible_version(call, call.need(name)).get("reimportEligible"):
            raise failed_precondition(f"{again} is not eligible for reimport.")
    else:
        primary = body.get("~primary")
        name = add_version(call, key, body)
        if not primary:
            # Imported versions never become primary by themselves.
            body.pop("~primary", None)
        call.put(key, body)
    version = call.copy(name)
    version.update(
        importJob=job["name"],
        importTime=call.stamp,
        state="ENABLED",
        **{"~material": base64.b64encode(material).decode()},
    )
    for field in ("generateTime", "destroyTime", "destroyEventTime", "reimportEligible"):
        version.pop(field, None)
    version["~states"] = [{"from": call.stamp, "state": "ENABLED"}]
    call.put(name, version)
    return standard.visible(call, name, version)


def _unwrapped(job: Body, request: Body) -> bytes:
    blob = base64.b64decode(request.get("wrappedKey") or request.get("rsaAesWrappedKey") or "")
    key: Any = serialization.load_der_private_key(base64.b64decode(job["~material"]), None)
    kind: hashes.HashAlgorithm = hashes.SHA1() if "SHA1" in job["importMethod"] else hashes.SHA256()  # noqa: S303
    oaep = padding.OAEP(padding.MGF1(kind), kind, None)
    size = key.key_size // 8
    try:
        if not job["importMethod"].endswith("AES_256"):
            return bytes(key.decrypt(blob, oaep))
        return keywrap.aes_key_unwrap_with_padding(key.decrypt(blob[:size], oaep), blob[size:])
    except (ValueError, keywrap.InvalidUnwrap) as error:
        raise invalid("The wrapped key could not be unwrapped with the ImportJob's key.") from error


def _check(algorithm: str, material: bytes) -> None:
    if algorithm.startswith(("RSA", "EC")):
        try:
            serialization.load_der_private_key(material, None)
        except (ValueError, UnsupportedAlgorithm) as error:
            raise invalid("The key material is not a PKCS #8 private key.") from error
        return
    wanted = 16 if algorithm.startswith("AES_128") else 64 if algorithm == "HMAC_SHA512" else 32
    if len(material) != wanted:
        raise invalid(f"The key material has {len(material)} bytes; {algorithm} needs {wanted}.")


RULES = (
    Rule(
        "kms.import-jobs-expire",
        "an import job is good for three days",
        "https://cloud.google.com/kms/docs/importing-a-key#import_job_expiration",
    ),
    Rule(
        "kms.imported-is-not-primary",
        "an imported version does not become primary by itself",
        "https://cloud.google.com/kms/docs/importing-a-key#automatically_wrap_and_import",
    ),
    Rule("kms.import-wording", "the sentences for material that cannot be imported", "", "assumed"),
)
