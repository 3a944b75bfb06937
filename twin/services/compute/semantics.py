"""Compute's table of methods, and its rules."""

from __future__ import annotations

from twin.kernel.semantics import Rule, Semantics
from twin.services.compute import balancing, endpoints, groups, links, machines, network, small_verbs

DOCS = "https://cloud.google.com/"

_PROXIES = ("targetHttpProxies", "targetHttpsProxies", "targetTcpProxies", "targetSslProxies", "targetGrpcProxies")
_NEGS = ("networkEndpointGroups", "globalNetworkEndpointGroups", "regionNetworkEndpointGroups")
_LABELLED = (
    "addresses", "globalAddresses", "forwardingRules", "globalForwardingRules", "disks", "instances", "images", "snapshots",
    "externalVpnGateways", "vpnGateways", "targetVpnGateways", "vpnTunnels", "securityPolicies", "interconnectAttachments", "networks",
    "regionDisks", "regionSnapshots", "instantSnapshots", "regionInstantSnapshots", "interconnects", "machineImages",
    "regionSecurityPolicies",
)  # fmt: skip

SEMANTICS = Semantics(
    api="compute",
    dialect="legacy",
    missing=links.missing,
    existing=links.existing,
    merge_patch=True,
    short_names=True,
    methods={
        "projects.get": network.get_project,
        "regions.get": network.get_region,
        "regions.list": network.list_regions,
        "zones.get": network.get_zone,
        "zones.list": network.list_zones,
        "globalOperations.wait": network.wait,
        "regionOperations.wait": network.wait,
        "zoneOperations.wait": network.wait,
        "forwardingRules.setTarget": balancing.set_target,
        "globalForwardingRules.setTarget": balancing.set_target,
        "networks.delete": network.delete_network,
        "images.getFromFamily": network.image_family,
        **machines.METHODS,
        **groups.METHODS,
        **small_verbs.METHODS,
        "sslPolicies.listAvailableFeatures": balancing.list_features,
        "regionSslPolicies.listAvailableFeatures": balancing.list_features,
        "subnetworks.setPrivateIpGoogleAccess": balancing.set_fields,
        **{
            f"{proxy}.{verb}": balancing.set_fields
            for proxy in _PROXIES
            for verb in ("setSslPolicy", "setQuicOverride", "setBackendService", "setProxyHeader", "setCertificateMap")
        },
        **{f"{word}.attachNetworkEndpoints": endpoints.attach for word in _NEGS},
        **{f"{word}.detachNetworkEndpoints": endpoints.detach for word in _NEGS},
        **{f"{word}.listNetworkEndpoints": endpoints.listed for word in _NEGS},
        "urlMaps.invalidateCache": balancing.invalidate_cache,
        "urlMaps.validate": balancing.validate_url_map,
        "regionUrlMaps.validate": balancing.validate_url_map,
        "backendServices.getHealth": balancing.update_neg_health,
        "regionBackendServices.getHealth": balancing.update_neg_health,
        "backendServices.setSecurityPolicy": balancing.set_security_policy,
        **{f"{word}.setLabels": balancing.set_labels for word in _LABELLED},
        **{
            f"{word}.setUrlMap": balancing.set_url_map
            for word in (*_PROXIES, "regionTargetHttpProxies", "regionTargetHttpsProxies")
        },
        **{
            f"{word}.setSslCertificates": balancing.set_certificates for word in (*_PROXIES, "regionTargetHttpsProxies")
        },
    },
    creating={
        "backendServices": balancing.create_backend_service,
        "networkEndpointGroups": balancing.create_neg,
        "healthChecks": balancing.default_health_check,
        "urlMaps": balancing.create_url_map,
        "backendBuckets": balancing.create_backend_bucket,
        "forwardingRules": balancing.create_forwarding_rule,
        **dict.fromkeys(_PROXIES, balancing.create_proxy),
        "sslCertificates": balancing.create_certificate,
        "networks": network.create_network,
        "subnetworks": network.create_subnetwork,
        "addresses": network.create_address,
        "firewalls": network.create_firewall,
        "routers": network.create_router,
        "sslPolicies": balancing.default_ssl_policy,
        **dict.fromkeys(
            ("routes", "vpnTunnels", "vpnGateways", "targetVpnGateways", "serviceAttachments"),
            network.just_normalise,
        ),
        **machines.CREATING,
        **groups.CREATING,
    },
    updating={
        "backendServices": balancing.update_backend_service,
        "healthChecks": balancing.update_health_check,
        "urlMaps": balancing.update_url_map,
        "backendBuckets": balancing.update_backend_bucket,
        "sslPolicies": balancing.update_ssl_policy,
        "routers": network.update_router,
        **dict.fromkeys(
            (*_PROXIES, "networks", "subnetworks", "firewalls", "forwardingRules"), network.normalise_update
        ),
    },
    deleting={
        **dict.fromkeys(
            (
                "backendServices",
                "networkEndpointGroups",
                "healthChecks",
                "urlMaps",
                "backendBuckets",
                "sslCertificates",
                "sslPolicies",
                *_PROXIES,
                "routers",
                "instanceTemplates",
            ),
            links.refuse_if_used,
        ),
        **machines.DELETING,
        "forwardingRules": balancing.free_address,
        "subnetworks": network.delete_subnetwork,
        "addresses": network.delete_address,
    },
    permissions={"regions.get": "", "regions.list": "", "zones.get": "", "zones.list": ""},
    rules=(
        Rule(
            "compute.serverless-no-timeout",
            "a backend service with serverless NEGs accepts no timeoutSec but the implicit 30",
            "terraform-google-lb-http #358",
        ),
        Rule(
            "compute.serverless-no-health-check",
            "'A backend service cannot have a healthcheck with Serverless network endpoint group backends.'",
            "terraform-provider-google #7311",
        ),
        Rule(
            "compute.serverless-no-utilization",
            "a serverless backend accepts no maxUtilization",
            "terraform-provider-google #7167",
        ),
        Rule(
            "compute.serverless-draining-no-effect",
            "connection draining is accepted on serverless NEGs and has no effect",
            DOCS + "load-balancing/docs/enabling-connection-draining",
            "assumed",
        ),
        Rule(
            "compute.draining-range",
            "drainingTimeoutSec is 0 to 3600",
            DOCS + "load-balancing/docs/enabling-connection-draining",
        ),
        Rule(
            "compute.default-timeout",
            "timeoutSec is 30 by default",
            DOCS + "load-balancing/docs/backend-service#timeout-setting",
        ),
        Rule("compute.in-use", "'The … resource '…' is already being used by '…''", "terraform-provider-google #8246"),
        Rule(
            "compute.missing-reference",
            "a reference to nothing is refused: 'The resource '…' was not found'",
            DOCS + "compute/docs/reference/rest/v1",
        ),
        Rule(
            "compute.fingerprint",
            "a stale fingerprint is refused with 412",
            DOCS + "compute/docs/api/how-tos/optimistic-concurrency",
        ),
        Rule(
            "compute.patch-is-merge",
            "PATCH is a JSON merge patch, PUT replaces",
            DOCS + "compute/docs/api/how-tos/patch",
        ),
        Rule(
            "compute.cdn-defaults",
            "CACHE_ALL_STATIC, defaultTtl 3600, maxTtl 86400, clientTtl 3600",
            DOCS + "cdn/docs/caching",
        ),
        Rule(
            "compute.address-by-number",
            "a forwarding rule may name an address by resource or by number",
            DOCS + "load-balancing/docs/forwarding-rule-concepts",
        ),
        Rule(
            "compute.stop-first",
            "a running instance keeps its machine type",
            DOCS + "compute/docs/instances/changing-machine-type-of-stopped-instance",
        ),
        Rule(
            "compute.protected-instance",
            "an instance with deletionProtection is not deleted",
            DOCS + "compute/docs/instances/preventing-accidental-vm-deletion",
        ),
        Rule(
            "compute.network-in-use-fails-later",
            "deleting a network in use is accepted, its operation fails with RESOURCE_IN_USE_BY_ANOTHER_RESOURCE",
            "k8s-config-connector recordings, computerouternatprivate _http.log",
        ),
        Rule(
            "compute.rule-priorities",
            "two rules of a policy cannot have one priority; a missing one is named in the refusal",
            "k8s-config-connector recordings, computefirewallpolicyrule _http.log",
        ),
        Rule(
            "compute.ssl-features",
            "enabledFeatures follow from the profile",
            DOCS + "load-balancing/docs/ssl-policies-concepts#defining_an_ssl_policy",
        ),
        Rule("compute.nat-timeouts", "time-outs of a NAT by default", DOCS + "nat/docs/tune-nat-configuration"),
        Rule(
            "compute.machine-defaults",
            "what an instance gets besides what the request names (shielded settings, CPU platform, interface names)",
            "",
            "assumed",
        ),
        Rule("compute.subnet-overlap", "overlapping ranges in a network are refused", DOCS + "vpc/docs/subnets"),
        Rule(
            "compute.urlmap-matchers",
            "host rules name existing path matchers, and every matcher is named",
            DOCS + "load-balancing/docs/url-map-concepts",
        ),
        Rule(
            "compute.backends-healthy", "getHealth says nothing about health until a runtime is attached", "", "assumed"
        ),
    ),
)
