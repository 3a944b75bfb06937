"""A rewritten configuration says to a JavaScript engine's parser what it should, whatever stood around it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from checks.code import next_config_current
from regreen.facts.libraries.next_config import NextConfig
from remedies.code import next_config
from tests.unit.remedies.mending import mend

_TWO = '[tool.regreen]\nsite-host = "www.a.io"\nasset-host = "cdn.a.io"\n'
_PAIR = (next_config_current, next_config)


def _repaired(source: bytes, policy: str = "") -> tuple[bytes, list[str]]:
    files, refusals = mend({"next.config.js": source, "pyproject.toml": policy, "a.py": "x = 1\n"}, _PAIR)
    return files["next.config.js"], [refusal.reason for refusal in refusals]


def test_an_empty_configuration_is_filled_in_two_steps() -> None:
    repaired, refusals = _repaired(b"module.exports = {};\n", _TWO)

    config = NextConfig("next.config.js", repaired)
    top = config.pairs(config.exported)
    assert (refusals, config.literal(top["assetPrefix"].value)) == ([], "https://cdn.a.io")
    assert config.hosts(config.pairs(top["images"].value)["remotePatterns"].value) == {"cdn.a.io"}


def test_one_host_gets_no_prefix() -> None:
    one = '[tool.regreen]\nsite-host = "www.a.io"\nasset-host = "www.a.io"\n'

    assert _repaired(b"module.exports = { output: 'standalone' };\n", one) == (
        b"module.exports = { output: 'standalone' };\n", [],
    )  # fmt: skip


def test_what_is_changed_later_is_not_touched() -> None:
    source = b"const c = { images: { domains: ['a.io'] } };\nc.images.domains = [];\nmodule.exports = c;\n"

    assert _repaired(source, _TWO) == (source, ["`c` is given its value by code"])


_HOSTS = st.lists(st.sampled_from(["a.io", "b.a.io", "assets.\u00e4.io", "cdn.a.io"]), max_size=4, unique=True)


@given(
    _HOSTS,
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from([b"", b"\xef\xbb\xbf"]),
    st.sampled_from(["", "  output: 'standalone', // {ä\n", "  env: { domains: ['no'] },\n"]),
    st.booleans(),
    st.booleans(),
)
def test_the_hosts_stay_and_the_rest_too(
    hosts: list[str], newline: str, mark: bytes, more: str, over_lines: bool, two: bool
) -> None:
    glue = ",\n      " if over_lines else ", "
    listed = glue.join(f"'{host}'" for host in hosts)
    text = f"module.exports = {{\n{more}  images: {{ domains: [{listed}] }},\n}};\n"
    source = mark + text.replace("\n", newline).encode()

    repaired, refusals = _repaired(source, _TWO if two else "")

    config = NextConfig("next.config.js", repaired)
    images = config.pairs(config.pairs(config.exported)["images"].value)
    assert refusals == []
    assert set(images) == {"remotePatterns"}
    assert config.hosts(images["remotePatterns"].value) == {*hosts, *({"cdn.a.io"} if two else ())}
    assert repaired.startswith(mark)
    assert b"\n" not in repaired.replace(b"\r\n", b"") if newline == "\r\n" else b"\r" not in repaired
    for line in more.replace("\n", newline).encode().splitlines():
        assert line in repaired
