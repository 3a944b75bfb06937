"""The cryptography of Cloud KMS: AES-GCM, signatures, asymmetric decryption, MACs, with the CRC32C fields.

https://cloud.google.com/kms/docs/data-integrity-guidelines, https://cloud.google.com/kms/docs/algorithms
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from twin.kernel.checksums import crc32c
from twin.kernel.errors import failed_precondition, invalid
from twin.kernel.names import collection_of, last, relative
from twin.kernel.semantics import Call
from twin.kernel.types import Body

# The first bytes of every ciphertext of this twin; real ones start with 0x0a24 too.
_MAGIC = b"\x0a\x24"
_LIMIT = 65_536
_HASHES: dict[str, Any] = {
    "SHA256": hashes.SHA256,
    "SHA384": hashes.SHA384,
    "SHA512": hashes.SHA512,
    "SHA1": hashes.SHA1,
    "SHA224": hashes.SHA224,
}


def generate(algorithm: str) -> str:
    """Fresh key material, as base64 of raw bytes or of a PKCS #8 DER."""
    if algorithm.startswith(("RSA_SIGN", "RSA_DECRYPT")):
        bits = int(re.search(r"_(2048|3072|4096)", algorithm)[1])  # type: ignore[index]
        return _der(rsa.generate_private_key(65537, bits))
    if algorithm.startswith("EC_SIGN_P256"):
        return _der(ec.generate_private_key(ec.SECP256R1()))
    if algorithm.startswith("EC_SIGN_P384"):
        return _der(ec.generate_private_key(ec.SECP384R1()))
    if algorithm.startswith("EC_SIGN_SECP256K1"):
        return _der(ec.generate_private_key(ec.SECP256K1()))
    if algorithm.startswith("EC_SIGN_ED25519"):
        return _der(ed25519.Ed25519PrivateKey.generate())
    size = 16 if algorithm.startswith("AES_128") else 64 if algorithm == "HMAC_SHA512" else 32
    return base64.b64encode(os.urandom(size)).decode()


def _der(key: Any) -> str:
    raw = key.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return base64.b64encode(raw).decode()


def _material(version: Body) -> bytes:
    return base64.b64decode(version["~material"])


def _private(version: Body) -> Any:
    return serialization.load_der_private_key(_material(version), None)


def _usable(call: Call, name: str) -> Body:
    from twin.services.kms import usable

    return usable(call, name)


def _bytes(call: Call, field: str) -> tuple[bytes, bool]:
    """A bytes field and whether its CRC32C was given (and right). ApiError INVALID_ARGUMENT when it was wrong."""
    data = base64.b64decode(call.body.get(field, ""))
    given = call.body.get(field + "Crc32c")
    if given is None:
        return data, False
    if int(given) != crc32c(data):
        snake = re.sub(r"([A-Z])", lambda match: "_" + match[1].lower(), field)
        raise invalid(f"The checksum in field {snake}_crc32c did not match the data in field {snake}.")
    return data, True


def _key_tag(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()[:8]


def encrypt(call: Call) -> Body:
    from twin.services.kms import rotate_if_due

    name = call.name
    key = collection_of(collection_of(name)) if "/cryptoKeyVersions/" in name else name
    body = rotate_if_due(call, key)
    if body["purpose"] != "ENCRYPT_DECRYPT":
        raise failed_precondition(
            f"The request cannot be fulfilled: {relative(key)} has purpose {body['purpose']}, ENCRYPT_DECRYPT is needed."
        )
    if name == key:
        if not body.get("~primary"):
            raise failed_precondition(f"{relative(key)} has no primary version.")
        name = f"{key}/cryptoKeyVersions/{body['~primary']}"
    version = _usable(call, name)
    plaintext, checked = _bytes(call, "plaintext")
    extra, extra_checked = _bytes(call, "additionalAuthenticatedData")
    if len(plaintext) > _LIMIT or len(extra) > _LIMIT:
        raise invalid("The plaintext and the additional authenticated data must each be no larger than 64 KiB.")
    nonce = os.urandom(12)
    head = _MAGIC + _key_tag(key) + int(last(name)).to_bytes(4, "big") + nonce
    ciphertext = head + AESGCM(_material(version)).encrypt(nonce, plaintext, extra)
    reply: Body = {
        "name": relative(name),
        "ciphertext": base64.b64encode(ciphertext).decode(),
        "ciphertextCrc32c": str(crc32c(ciphertext)),
        "protectionLevel": version["protectionLevel"],
    }
    if checked:
        reply["verifiedPlaintextCrc32c"] = True
    if extra_checked:
        reply["verifiedAdditionalAuthenticatedDataCrc32c"] = True
    return reply


def decrypt(call: Call) -> Body:
    body = call.need()
    if body["purpose"] != "ENCRYPT_DECRYPT":
        raise failed_precondition(
            f"The request cannot be fulfilled: {relative(call.name)} has purpose {body['purpose']}, ENCRYPT_DECRYPT is needed."
        )
    ciphertext, _ = _bytes(call, "ciphertext")
    extra, _ = _bytes(call, "additionalAuthenticatedData")
    refusal = invalid("Decryption failed: verify that 'name' refers to the correct CryptoKey.")
    if len(ciphertext) < 42 or not ciphertext.startswith(_MAGIC) or ciphertext[2:10] != _key_tag(call.name):
        raise refusal
    number = int.from_bytes(ciphertext[10:14], "big")
    name = f"{call.name}/cryptoKeyVersions/{number}"
    if call.get(name) is None:
        raise refusal
    version = _usable(call, name)
    try:
        plaintext = AESGCM(_material(version)).decrypt(ciphertext[14:26], ciphertext[26:], extra)
    except InvalidTag:
        raise invalid("Decryption failed: the ciphertext is invalid.") from None
    reply: Body = {
        "plaintextCrc32c": str(crc32c(plaintext)),
        "usedPrimary": str(number) == body.get("~primary"),
        "protectionLevel": version["protectionLevel"],
    }
    if plaintext:
        reply["plaintext"] = base64.b64encode(plaintext).decode()
    if not reply["usedPrimary"]:
        del reply["usedPrimary"]
    return reply


def _need_purpose(call: Call, purpose: str) -> Body:
    key = call.need(collection_of(collection_of(call.name)))
    if key["purpose"] != purpose:
        raise failed_precondition(
            f"The request cannot be fulfilled: {relative(call.name)} has purpose {key['purpose']}, {purpose} is needed."
        )
    return _usable(call, call.name)


def public_key(call: Call) -> Body:
    call.name = call.name.removesuffix("/publicKey")
    version = call.need()
    if version["algorithm"].startswith(("GOOGLE_", "AES", "HMAC")):
        raise failed_precondition(f"{relative(call.name)} has no public key: its algorithm is {version['algorithm']}.")
    version = _usable(call, call.name)
    pem = (
        _private(version)
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    return {
        "pem": pem.decode(),
        "pemCrc32c": str(crc32c(pem)),
        "algorithm": version["algorithm"],
        "name": relative(call.name),
        "protectionLevel": version["protectionLevel"],
    }


def asymmetric_sign(call: Call) -> Body:
    version = _need_purpose(call, "ASYMMETRIC_SIGN")
    algorithm: str = version["algorithm"]
    data, data_checked = _bytes(call, "data")
    digest, digest_checked = _digest(call, algorithm)
    key = _private(version)
    if algorithm.startswith("EC_SIGN_ED25519"):
        signature = key.sign(data)
    else:
        kind = _HASHES[algorithm.rsplit("_", 1)[1]]()
        if not digest:
            hasher = hashes.Hash(kind)
            hasher.update(data)
            digest = hasher.finalize()
        if len(digest) != kind.digest_size:
            raise invalid(f"The digest must have {kind.digest_size} bytes for algorithm {algorithm}.")
        if algorithm.startswith("EC_"):
            signature = key.sign(digest, ec.ECDSA(utils.Prehashed(kind)))
        elif "PSS" in algorithm:
            pss = padding.PSS(padding.MGF1(kind), kind.digest_size)
            signature = key.sign(digest, pss, utils.Prehashed(kind))
        else:
            signature = key.sign(digest, padding.PKCS1v15(), utils.Prehashed(kind))
    reply: Body = {
        "signature": base64.b64encode(signature).decode(),
        "signatureCrc32c": str(crc32c(signature)),
        "name": relative(call.name),
        "protectionLevel": version["protectionLevel"],
    }
    if data_checked:
        reply["verifiedDataCrc32c"] = True
    if digest_checked:
        reply["verifiedDigestCrc32c"] = True
    return reply


def _digest(call: Call, algorithm: str) -> tuple[bytes, bool]:
    given = call.body.get("digest", {})
    word = algorithm.rsplit("_", 1)[1].lower()
    if given and word not in given:
        raise invalid(f"The digest must be a {word} digest for algorithm {algorithm}.")
    digest = base64.b64decode(given.get(word, ""))
    expected = call.body.get("digestCrc32c")
    if expected is not None and int(expected) != crc32c(digest):
        raise invalid("The checksum in field digest_crc32c did not match the data in field digest.")
    return digest, expected is not None


def asymmetric_decrypt(call: Call) -> Body:
    version = _need_purpose(call, "ASYMMETRIC_DECRYPT")
    ciphertext, checked = _bytes(call, "ciphertext")
    kind = _HASHES[version["algorithm"].rsplit("_", 1)[1]]()
    try:
        plaintext = _private(version).decrypt(ciphertext, padding.OAEP(padding.MGF1(kind), kind, None))
    except ValueError:
        raise invalid("Decryption failed: the ciphertext is invalid.") from None
    reply: Body = {
        "plaintext": base64.b64encode(plaintext).decode(),
        "plaintextCrc32c": str(crc32c(plaintext)),
        "protectionLevel": version["protectionLevel"],
    }
    if checked:
        reply["verifiedCiphertextCrc32c"] = True
    return reply


def mac_sign(call: Call) -> Body:
    version = _need_purpose(call, "MAC")
    data, checked = _bytes(call, "data")
    mac = hmac.new(_material(version), data, version["algorithm"].removeprefix("HMAC_").lower()).digest()
    reply: Body = {
        "name": relative(call.name),
        "mac": base64.b64encode(mac).decode(),
        "macCrc32c": str(crc32c(mac)),
        "protectionLevel": version["protectionLevel"],
    }
    if checked:
        reply["verifiedDataCrc32c"] = True
    return reply


def mac_verify(call: Call) -> Body:
    version = _need_purpose(call, "MAC")
    data, data_checked = _bytes(call, "data")
    mac, mac_checked = _bytes(call, "mac")
    expected = hmac.new(_material(version), data, version["algorithm"].removeprefix("HMAC_").lower()).digest()
    success = hmac.compare_digest(mac, expected)
    reply: Body = {"name": relative(call.name), "protectionLevel": version["protectionLevel"]}
    if success:
        reply["success"] = True
        reply["verifiedSuccessIntegrity"] = True
    if data_checked:
        reply["verifiedDataCrc32c"] = True
    if mac_checked:
        reply["verifiedMacCrc32c"] = True
    return reply


def random_bytes(call: Call) -> Body:
    length = int(call.body.get("lengthBytes", 0))
    if not 8 <= length <= 1024:
        raise invalid("length_bytes must be between 8 and 1024.")
    if call.body.get("protectionLevel") != "HSM":
        raise invalid("protection_level must be HSM.")
    data = os.urandom(length)
    return {"data": base64.b64encode(data).decode(), "dataCrc32c": str(crc32c(data))}


def wrap(call: Call, key: str, principal: str, plaintext: bytes) -> tuple[str, str]:
    """Encrypt for another service, as its agent and through IAM: (key version, ciphertext)."""
    body = {"plaintext": base64.b64encode(plaintext).decode()}
    reply = call.invoke("cloudkms.projects.locations.keyRings.cryptoKeys.encrypt", key, body, principal)
    return str(reply["name"]), str(reply["ciphertext"])


METHODS = {
    "cryptoKeys.encrypt": encrypt,
    "cryptoKeys.decrypt": decrypt,
    "cryptoKeyVersions.getPublicKey": public_key,
    "cryptoKeyVersions.asymmetricSign": asymmetric_sign,
    "cryptoKeyVersions.asymmetricDecrypt": asymmetric_decrypt,
    "cryptoKeyVersions.macSign": mac_sign,
    "cryptoKeyVersions.macVerify": mac_verify,
    "locations.generateRandomBytes": random_bytes,
}
