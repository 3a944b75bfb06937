"""What a remedy sees of a stack's configuration: values by path, and edits that come back as bytes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Protocol

#: Where adoption notes what is to be imported; gone once that went through.
IMPORTS: Final = "imports"
#: A place in the stack's configuration: `("services", "api", "minInstances")`.
Place = tuple[str | int, ...]


class StackFile(Protocol):
    """The configuration of a stack, as a file in git. `infra.config` makes one; nothing here knows Pulumi."""

    @property
    def path(self) -> str:
        """The file, relative to the target."""

    @property
    def adopted(self) -> bool:
        """Whether the live resources were taken over into the stack."""

    @property
    def content(self) -> bytes:
        """The file as it is."""

    def get(self, *place: str | int, default: Any = None) -> Any:
        """A value, or the default."""

    def names(self, section: str) -> Sequence[str]:
        """The resources of a section: `services`, `backends`, `secrets` …"""

    def edited(self, values: Iterable[tuple[Place, Any]]) -> bytes:
        """The file with these values set (None removes); comments and everything else stay as they are."""


Values = Mapping[str, Any]
