"""Google's public image projects: no image is held, and yet a family or an image of one can be asked for and booted from.

https://cloud.google.com/compute/docs/images/os-details
"""

from __future__ import annotations

import re
import zlib
from typing import Final

from twin.kernel.operations import COMPUTE_BASE
from twin.kernel.types import Body

PUBLIC: Final = frozenset({"windows-cloud", "cos-cloud", "ml-images", "deeplearning-platform-release"})
_DATE: Final = "20260101"
#: Families whose images carry more than the family's own name.
_CODENAMES: Final = {"debian-10": "buster", "debian-11": "bullseye", "debian-12": "bookworm", "debian-13": "trixie"}
_UBUNTU: Final = {"1804": "bionic", "2004": "focal", "2204": "jammy", "2404": "noble"}
_FAMILY: Final = re.compile(r"projects/([^/]+)/global/images/family/([^/]+)$")


def public(project: str, family: str) -> Body:
    """An image of a public family, as `images.getFromFamily` answers it."""
    name = _name(family)
    link = f"{COMPUTE_BASE}projects/{project}/global/images/{name}"
    return {
        "kind": "compute#image",
        "id": number_of(link),
        "creationTimestamp": "2026-01-01T00:00:00.000-08:00",
        "name": name,
        "family": family,
        "status": "READY",
        "sourceType": "RAW",
        "diskSizeGb": "10",
        "selfLink": link,
    }


def resolved(link: str) -> str:
    """A link to a public family as a link to its newest image; any other link as it is."""
    match = _FAMILY.search(link)
    if match is None or not (match[1] in PUBLIC or match[1].endswith("-cloud")):
        return link
    return f"{COMPUTE_BASE}projects/{match[1]}/global/images/{_name(match[2])}"


def number_of(link: str) -> str:
    """A public image's numeric id: made up, the same every time."""
    return str(10**18 + zlib.crc32(link.encode()) * 1_000_003)


def _name(family: str) -> str:
    if family in _CODENAMES:
        return f"{family}-{_CODENAMES[family]}-v{_DATE}"
    if match := re.fullmatch(r"ubuntu-(minimal-)?(\d{4})-lts(-\w+)?", family):
        return f"ubuntu-{match[1] or ''}{match[2]}-{_UBUNTU.get(match[2], 'lts')}{match[3] or ''}-v{_DATE}"
    return f"{family}-v{_DATE}"
