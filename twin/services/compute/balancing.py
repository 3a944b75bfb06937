"""Load balancing: backend services, NEGs, url maps, proxies, forwarding rules, backend buckets, health checks.

Serverless backends accept no time-out, no health check and no utilization (terraform-google-lb-http #358,
terraform-provider-google #7311 and #7167).
"""

# ruff: noqa: ARG001 - the signature is the kernel's

from __future__ import annotations

import copy
import hashlib

from cryptography import x509

from twin.kernel import standard
from twin.kernel.errors import ApiError, invalid
from twin.kernel.masks import merge_patch
from twin.kernel.names import segment_after
from twin.kernel.semantics import Call
from twin.kernel.types import Body, Reply, rfc3339
from twin.services.compute import links

SERVERLESS = "SERVERLESS"


def bad_value(field: str, value: object, why: str) -> ApiError:
    """`Invalid value for field 'resource.timeoutSec': '120'. …`"""
    return invalid(f"Invalid value for field 'resource.{field}': '{value}'. {why}")


def is_serverless(call: Call, link: str) -> bool:
    body = call.get(links.name_of(link))
    return body is not None and body.get("networkEndpointType") == SERVERLESS


def default_backend_service(call: Call, body: Body) -> None:
    body.setdefault("description", "")
    body.setdefault("protocol", "HTTP")
    body.setdefault("loadBalancingScheme", "EXTERNAL")
    body.setdefault("sessionAffinity", "NONE")
    body.setdefault("affinityCookieTtlSec", 0)
    body.setdefault("timeoutSec", 30)
    body.setdefault("connectionDraining", {}).setdefault("drainingTimeoutSec", 0)
    if body["loadBalancingScheme"] not in ("INTERNAL", "INTERNAL_SELF_MANAGED") and body["protocol"] in (
        "HTTP",
        "HTTPS",
        "HTTP2",
    ):
        body.setdefault("portName", "http")
        body.setdefault("port", 443 if body["protocol"] == "HTTPS" and body["portName"] == "https" else 80)
    if (
        "enableCDN" not in body
        and body["loadBalancingScheme"] in ("EXTERNAL", "EXTERNAL_MANAGED")
        and "regions" not in call.name
    ):
        body["enableCDN"] = False
    if body.get("enableCDN"):
        _default_cdn(body)
    _hide_secret(body)


def _hide_secret(body: Body) -> None:
    iap = body.get("iap")
    if iap is None:
        return
    secret = iap.pop("oauth2ClientSecret", None)
    if secret is not None:
        iap["oauth2ClientSecretSha256"] = hashlib.sha256(secret.encode()).hexdigest()


def _default_cdn(body: Body) -> None:
    """https://cloud.google.com/cdn/docs/caching (defaults of a cache policy)"""
    policy = body.setdefault("cdnPolicy", {})
    policy.setdefault("cacheMode", "CACHE_ALL_STATIC")
    if policy["cacheMode"] != "USE_ORIGIN_HEADERS":
        policy.setdefault("defaultTtl", 3600)
    if policy["cacheMode"] == "CACHE_ALL_STATIC":
        policy.setdefault("maxTtl", 86_400)
        policy.setdefault("clientTtl", 3600)
    elif policy["cacheMode"] == "FORCE_CACHE_ALL":
        policy.setdefault("clientTtl", 3600)
    policy.setdefault("negativeCaching", False)
    policy.setdefault("requestCoalescing", True)
    policy.setdefault("serveWhileStale", 86_400)
    policy.setdefault("signedUrlCacheMaxAgeSec", "0")
    if "bucketName" not in body:
        policy.setdefault("cacheKeyPolicy", {"includeProtocol": True, "includeHost": True, "includeQueryString": True})


def create_backend_service(call: Call, body: Body) -> None:
    given = dict(call.body)
    links.normalise(call, body)
    default_backend_service(call, body)
    check_backend_service(call, body, given)


def update_backend_service(call: Call, old: Body, new: Body) -> None:
    links.normalise(call, new)
    default_backend_service(call, new)
    check_backend_service(call, new, call.body if call.method.kind == "patch" else new)


def check_backend_service(call: Call, body: Body, given: Body) -> None:
    """The rules for serverless backends, in Google's words. `given` is what the client sent."""
    timeout = body.get("timeoutSec", 30)
    if not 1 <= timeout <= 2_147_483_647:
        raise bad_value("timeoutSec", timeout, "Must be greater than or equal to 1")
    draining = body.get("connectionDraining", {}).get("drainingTimeoutSec", 0)
    if not 0 <= draining <= 3600:
        raise bad_value("connectionDraining.drainingTimeoutSec", draining, "Must be between 0 and 3600")
    kinds = {is_serverless(call, backend.get("group", "")) for backend in body.get("backends", [])}
    for position, backend in enumerate(body.get("backends", [])):
        _check_backend(call, body, backend, position)
    if True not in kinds:
        return
    if False in kinds:
        raise invalid(
            "Invalid value for field 'resource.backends': ''. All backends of a backend service must be of the same kind."
        )
    if timeout != 30:
        raise bad_value(
            "timeoutSec",
            timeout,
            "Timeout sec is not supported for a backend service with Serverless network endpoint groups.",
        )
    if body.get("healthChecks"):
        raise invalid("A backend service cannot have a healthcheck with Serverless network endpoint group backends.")


def _check_backend(call: Call, body: Body, backend: Body, position: int) -> None:
    group = backend.get("group", "")
    if not group:
        raise bad_value(f"backends[{position}].group", "", "Required field")
    if is_serverless(call, group):
        for field in ("maxUtilization", "maxRate", "maxRatePerInstance", "maxConnections"):
            if backend.get(field):
                raise bad_value(
                    f"backends[{position}].{field}",
                    backend[field],
                    f"{field[0].upper()}{field[1:]} is not supported for a backend with Serverless network endpoint groups.",
                )
    backend.setdefault("balancingMode", "UTILIZATION")
    backend.setdefault("capacityScaler", 1)


def update_neg_health(call: Call) -> Body:
    """`getHealth`: serverless backends have no health; others are as healthy as the runtime says (assumed healthy)."""
    body = call.need()
    group = call.body.get("group", "")
    if group not in [backend.get("group") for backend in body.get("backends", [])]:
        raise invalid(f"Invalid value for field 'resource.group': '{group}'. Group is not a backend of this service.")
    return {"kind": "compute#backendServiceGroupHealth"}


def create_neg(call: Call, body: Body) -> None:
    links.normalise(call, body)
    body.setdefault("networkEndpointType", "GCE_VM_IP_PORT")
    body["size"] = 0
    if body["networkEndpointType"] == SERVERLESS:
        targets = [
            field for field in ("cloudRun", "appEngine", "cloudFunction", "serverlessDeployment") if field in body
        ]
        if len(targets) != 1:
            raise invalid(
                "Invalid value for field 'resource': ''. Exactly one of cloudRun, appEngine, cloudFunction or serverlessDeployment must be set."
            )
        if "regions" not in call.name:
            raise bad_value("networkEndpointType", SERVERLESS, "Serverless network endpoint groups are regional.")


def default_health_check(call: Call, body: Body) -> None:
    body.setdefault("checkIntervalSec", 5)
    body.setdefault("timeoutSec", 5)
    body.setdefault("healthyThreshold", 2)
    body.setdefault("unhealthyThreshold", 2)
    kinds = {
        "HTTP": "httpHealthCheck",
        "HTTPS": "httpsHealthCheck",
        "HTTP2": "http2HealthCheck",
        "TCP": "tcpHealthCheck",
        "SSL": "sslHealthCheck",
        "GRPC": "grpcHealthCheck",
    }
    body.setdefault("type", next((kind for kind, field in kinds.items() if field in body), "TCP"))
    inner = body.setdefault(kinds.get(body["type"], "tcpHealthCheck"), {})
    if body["type"] in ("HTTP", "HTTPS", "HTTP2"):
        inner.setdefault("requestPath", "/")
        inner.setdefault("proxyHeader", "NONE")
        if "portSpecification" not in inner and "portName" not in inner:
            inner.setdefault("port", 443 if body["type"] == "HTTPS" else 80)
    elif body["type"] in ("TCP", "SSL"):
        inner.setdefault("proxyHeader", "NONE")
        if "portSpecification" not in inner and "portName" not in inner:
            inner.setdefault("port", 443 if body["type"] == "SSL" else 80)
    if body["timeoutSec"] > body["checkIntervalSec"]:
        raise bad_value("timeoutSec", body["timeoutSec"], "TimeoutSec should be less than checkIntervalSec.")


def update_health_check(call: Call, old: Body, new: Body) -> None:
    default_health_check(call, new)


_MODERN = (
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
)  # fmt: skip
_CBC = (
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA", "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA", "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
)  # fmt: skip
_RSA = (
    "TLS_RSA_WITH_3DES_EDE_CBC_SHA", "TLS_RSA_WITH_AES_128_CBC_SHA", "TLS_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_RSA_WITH_AES_256_CBC_SHA", "TLS_RSA_WITH_AES_256_GCM_SHA384",
)  # fmt: skip
# https://cloud.google.com/load-balancing/docs/ssl-policies-concepts#defining_an_ssl_policy
FEATURES = {"RESTRICTED": _MODERN, "MODERN": (*_MODERN, *_CBC), "COMPATIBLE": (*_MODERN, *_CBC, *_RSA)}


def default_ssl_policy(call: Call, body: Body) -> None:
    body.setdefault("profile", "COMPATIBLE")
    body.setdefault("minTlsVersion", "TLS_1_0")
    custom = body.get("customFeatures", [])
    if custom and body["profile"] != "CUSTOM":
        raise bad_value(
            "customFeatures", ", ".join(custom), "Custom features are only allowed with the CUSTOM profile."
        )
    body["enabledFeatures"] = sorted(custom if body["profile"] == "CUSTOM" else FEATURES[body["profile"]])


def update_ssl_policy(call: Call, old: Body, new: Body) -> None:
    default_ssl_policy(call, new)


def list_features(call: Call) -> Body:
    return {"features": sorted(FEATURES["COMPATIBLE"])}


def create_url_map(call: Call, body: Body) -> None:
    links.normalise(call, body)
    _check_url_map(body)


def update_url_map(call: Call, old: Body, new: Body) -> None:
    links.normalise(call, new)
    _check_url_map(new)


def _check_url_map(body: Body) -> None:
    if not any(field in body for field in ("defaultService", "defaultUrlRedirect", "defaultRouteAction")):
        raise bad_value("defaultService", "", "A default service, redirect or route action must be specified.")
    matchers = {matcher.get("name") for matcher in body.get("pathMatchers", [])}
    for position, rule in enumerate(body.get("hostRules", [])):
        if rule.get("pathMatcher") not in matchers:
            raise bad_value(
                f"hostRules[{position}].pathMatcher", rule.get("pathMatcher", ""), "The path matcher does not exist."
            )
    named = [rule.get("pathMatcher") for rule in body.get("hostRules", [])]
    for position, matcher in enumerate(body.get("pathMatchers", [])):
        if matcher.get("name") not in named:
            raise bad_value(
                f"pathMatchers[{position}].name",
                matcher.get("name", ""),
                "Every path matcher must be referenced by a host rule.",
            )


def validate_url_map(call: Call) -> Body:
    body = call.body.get("resource", {})
    try:
        _check_url_map(copy.deepcopy(body))
    except ApiError as error:
        return {"result": {"loadSucceeded": False, "loadErrors": [error.message]}}
    return {"result": {"loadSucceeded": True, "testPassed": True}}


def create_backend_bucket(call: Call, body: Body) -> None:
    if not body.get("bucketName"):
        raise bad_value("bucketName", "", "Bucket name is required.")
    body.setdefault("description", "")
    body.setdefault("enableCdn", False)
    if body["enableCdn"]:
        _default_cdn(body)


def update_backend_bucket(call: Call, old: Body, new: Body) -> None:
    if new.get("enableCdn"):
        _default_cdn(new)


def create_proxy(call: Call, body: Body) -> None:
    links.normalise(call, body)
    if call.method.collection[-1] == "targetHttpsProxies":
        body.setdefault("quicOverride", "NONE")
        body.setdefault("tlsEarlyData", "DISABLED")
        if not body.get("sslCertificates") and not body.get("certificateMap"):
            raise bad_value("sslCertificates", "", "At least one SSL certificate must be specified.")
    if call.method.collection[-1] in ("targetHttpProxies", "targetHttpsProxies") and not body.get("urlMap"):
        raise bad_value("urlMap", "", "Target proxies must reference a URL map.")


def create_forwarding_rule(call: Call, body: Body) -> None:
    links.normalise(call, body)
    _resolve_address(call, body)
    body.setdefault("IPProtocol", "TCP")
    body.setdefault("loadBalancingScheme", "EXTERNAL")
    body.setdefault("description", "")
    body.setdefault("networkTier", "PREMIUM")
    ports = body.get("portRange")
    if ports and "-" not in ports:
        body["portRange"] = f"{ports}-{ports}"
    if not body.get("target") and not body.get("backendService"):
        raise bad_value("target", "", "A target or a backend service must be specified.")


def _resolve_address(call: Call, body: Body) -> None:
    """An address may be given by resource or by number; the answer holds the number."""
    given = body.get("IPAddress", "")
    name = links.name_of(given)
    if not name and given and "/" in given:
        name = f"compute/projects/{call.project}/{given}"
    if name:
        address = call.need(name)
        body["IPAddress"] = address["address"]
        users = [*address.get("users", []), body["selfLink"]]
        call.put(name, {**address, "status": "IN_USE", "users": users})
    elif not given:
        from twin.services.compute.network import new_address

        body["IPAddress"] = new_address(call, internal=body.get("loadBalancingScheme", "").startswith("INTERNAL"))


def create_certificate(call: Call, body: Body) -> None:
    """The private key goes in and never comes out (https://cloud.google.com/load-balancing/docs/ssl-certificates)."""
    key = body.pop("privateKey", None)
    given = body.pop("selfManaged", {})
    key, pem = key or given.get("privateKey"), body.get("certificate") or given.get("certificate")
    if body.get("type") == "MANAGED" or "managed" in body:
        body["type"] = "MANAGED"
        domains = body.get("managed", {}).get("domains", [])
        body["managed"] = {"domains": domains, "status": "ACTIVE", "domainStatus": dict.fromkeys(domains, "ACTIVE")}
        return
    if not key or not pem:
        raise bad_value("privateKey", "", "A certificate and its private key must be specified.")
    try:
        expires = x509.load_pem_x509_certificate(pem.encode()).not_valid_after_utc
    except ValueError:
        raise bad_value("certificate", "", "The SSL certificate could not be parsed.") from None
    body.update(certificate=pem, type="SELF_MANAGED", selfManaged={"certificate": pem}, expireTime=rfc3339(expires, 3))


def set_fields(call: Call) -> Body | Reply:
    """Verbs that set what their request names: setSslPolicy, setQuicOverride, setBackendService, …"""
    return _change(call, call.method.tail, dict(call.body))


def set_target(call: Call) -> Body | Reply:
    return _change(call, "SetTarget", {"target": call.body.get("target")})


def set_url_map(call: Call) -> Body | Reply:
    return _change(call, "setUrlMap", {"urlMap": call.body.get("urlMap")})


def set_certificates(call: Call) -> Body | Reply:
    return _change(call, "setSslCertificates", {"sslCertificates": call.body.get("sslCertificates", [])})


def set_labels(call: Call) -> Body | Reply:
    old = call.need()
    given = call.body.get("labelFingerprint")
    if given and given != old.get("labelFingerprint"):
        raise ApiError(
            "CONDITION_NOT_MET",
            "Labels fingerprint either invalid or resource labels have changed",
            reason="conditionNotMet",
        )
    return _change(call, "setLabels", {"labels": call.body.get("labels", {})})


def set_security_policy(call: Call) -> Body | Reply:
    return _change(call, "setSecurityPolicy", {"securityPolicy": call.body.get("securityPolicy")})


def _change(call: Call, verb: str, fields: Body) -> Body | Reply:
    new = merge_patch(call.need(), fields)
    links.normalise(call, new)
    new["labelFingerprint"] = standard.fingerprint(new.get("labels", {})) if "labelFingerprint" in new else None
    if new["labelFingerprint"] is None:
        del new["labelFingerprint"]
    if "fingerprint" in new:
        new["fingerprint"] = standard.fingerprint(new)
    call.put(call.name, new)
    call.announce("updated", call.name)
    return standard.finish(call, verb, new)


def invalidate_cache(call: Call) -> Body | Reply:
    """https://cloud.google.com/cdn/docs/invalidating-cached-content; the runtime's cache listens."""
    body = call.need()
    call.announce("invalidate-cache", f"{call.name}?path={call.body.get('path', '')}&host={call.body.get('host', '')}")
    return standard.finish(call, "invalidateCache", body)


def free_address(call: Call, body: Body) -> None:
    """A deleted forwarding rule gives its reserved address back."""
    for word in ("global", "regions"):
        place = "global" if word == "global" else f"regions/{segment_after(call.name, 'regions')}"
        for name, address in list(call.children(f"compute/projects/{call.project}/{place}/addresses")):
            if body.get("selfLink") in address.get("users", []):
                changed = {key: value for key, value in address.items() if key != "users"}
                call.put(name, {**changed, "status": "RESERVED"})
