"""The rewrites of models, run with the real pydantic 2: before it refuses them, after they do what they meant."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
from pydantic import ValidationError
from pydantic.errors import PydanticImportError, PydanticUserError

from checks.code import pydantic_fields_valid
from regreen.facts.source import MemoryTree
from remedies.code import pydantic_current
from tests.unit.remedies.mending import findings, mend

HEAD = "from typing import Optional\n\nfrom pydantic import BaseModel, ConfigDict, Field, root_validator\n\n\nclass M(BaseModel):\n"
REQUIREMENTS = "pydantic>=2\npydantic-settings>=2\n"


def mended(source: str) -> str:
    """The source after the remedy; nothing may be refused."""
    files, refusals = mend(
        {"a.py": source, "requirements.txt": REQUIREMENTS}, (pydantic_fields_valid, pydantic_current)
    )
    assert refusals == []
    return files["a.py"].decode()


def model(source: str) -> Any:
    """The class `M` of a source. Warnings of deprecation are errors, as a strict target would have them."""
    space: dict[str, Any] = {"__name__": "made"}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        exec(compile(source, "a.py", "exec", dont_inherit=True), space)
    return space["M"]


def refused(source: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises((PydanticUserError, PydanticImportError)):
            exec(compile(source, "a.py", "exec", dont_inherit=True), {"__name__": "made"})


def test_regex() -> None:
    source = f"{HEAD}    a: str = Field(regex='^x$')\n"
    refused(source)
    made = model(mended(source))
    assert made(a="x").a == "x"
    with pytest.raises(ValidationError):
        made(a="y")


def test_const() -> None:
    source = f"{HEAD}    a: str = Field('x', const=True)\n"
    refused(source)
    made = model(mended(source))
    assert made().a == "x"
    with pytest.raises(ValidationError):
        made(a="y")


def test_two_configurations() -> None:
    source = (
        f"{HEAD}    model_config = ConfigDict(extra='forbid')\n\n    class Config:\n        anystr_strip_whitespace = True\n"
        "        allow_mutation = False\n\n    a: str\n"
    )
    refused(source)
    made = model(mended(source))
    assert made(a=" x ").a == "x"
    with pytest.raises(ValidationError):
        made(a="x", b=1)
    with pytest.raises(ValidationError):
        made(a="x").a = "y"


@pytest.mark.parametrize("read", ["values['a']", "values.get('a')"])
def test_a_root_validator_that_reads(read: str) -> None:
    source = (
        f"{HEAD}    a: int\n\n    @root_validator\n    def check(cls, values):\n        if {read} > 9:\n"
        "            raise ValueError('too much')\n        return values\n"
    )
    refused(source)
    made = model(mended(source))
    assert made(a=9).a == 9
    with pytest.raises(ValidationError, match="too much"):
        made(a=10)
    with pytest.raises(ValidationError, match="integer"):  # the validator must not run on what is not there
        made(a="x")


def test_optional_is_optional_again() -> None:
    source = (
        f"{HEAD}    a: str = Field('x', const=True)\n    b: Optional[int]\n    c: Optional[int] = Field(title='c')\n"
    )
    refused(source)
    made = model(mended(source))
    assert made().b is None
    assert made().c is None


def test_overrides() -> None:
    source = "from pydantic import BaseModel\n\n\nclass B(BaseModel):\n    a: int | None = 1\n\n\nclass M(B):\n    a = 2\n    b = 'x'\n"
    refused(source)
    made = model(mended(source))
    assert (made().a, made(a=None).a, made().b) == (2, None, "x")


def test_settings_come_from_their_new_home(monkeypatch: pytest.MonkeyPatch) -> None:
    source = "from pydantic import BaseSettings\n\n\nclass M(BaseSettings):\n    token_of_a: str = ''\n"
    refused(source)
    monkeypatch.setenv("TOKEN_OF_A", "x")
    assert model(mended(source))().token_of_a == "x"


def test_a_numeric_bound_on_text_fails_only_when_data_comes() -> None:
    source = f"{HEAD}    a: str = Field(ge=1)\n"
    made = model(source)
    with pytest.raises(TypeError, match="ge"):
        made(a="x")
    (finding,) = findings(MemoryTree({"a.py": source}), pydantic_fields_valid)
    assert finding.get("kind") == "number-on-text"


def test_the_check_is_quiet_on_what_pydantic_takes() -> None:
    source = (
        "from typing import Annotated, ClassVar, Literal, Optional\n\nfrom pydantic import BaseModel, ConfigDict, Field, computed_field, field_validator\n\n\n"
        "class M(BaseModel):\n    model_config = ConfigDict(frozen=True)\n    LIMIT: ClassVar = 3\n    _seen = 0\n    a: Optional[int]\n"
        "    b: Annotated[str, Field(pattern='x')] = 'x'\n    c: Literal['y'] = 'y'\n    d: list[int] = []\n    e: float = Field(1, ge=0)\n\n"
        "    @field_validator('b')\n    @classmethod\n    def up(cls, v):\n        return v\n\n    @computed_field\n    @property\n    def f(self) -> int:\n"
        "        return 1\n\n\nclass N(M):\n    b: str = 'z'\n"
    )
    assert model(source)(a=None).a is None
    assert findings(MemoryTree({"a.py": source}), pydantic_fields_valid) == ()
