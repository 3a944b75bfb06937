"""Secret values out of text, before it is written anywhere: journal, record, report, commit message.

The shapes are those that vendors publish for their keys, and the places where people write secrets
(`password=`, a URL's user part, an Authorization header). What is left says what stood there.
"""

from __future__ import annotations

import re
from typing import Any, Final

HIDDEN: Final = "[redacted]"

_WHOLE: Final = re.compile(
    r"""
      -----BEGIN\ [A-Z0-9 ]*PRIVATE\ KEY-----.*?(?:-----END\ [A-Z0-9 ]*PRIVATE\ KEY-----|\Z)
    | \b(?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{10,}      # Stripe
    | \bsk-(?:live|proj|ant|svcacct)?[-_A-Za-z0-9]{16,}  # OpenAI and look-alikes
    | \bwhsec_[A-Za-z0-9+/=]{16,}                        # Stripe web hooks
    | \bAIza[0-9A-Za-z_-]{30,}                           # Google API keys
    | \bya29\.[0-9A-Za-z_-]{20,}                         # Google access tokens
    | \b(?:AKIA|ASIA)[0-9A-Z]{16}\b                      # AWS key ids
    | \bgh[pousr]_[A-Za-z0-9]{20,}                       # GitHub
    | \bgithub_pat_[A-Za-z0-9_]{22,}
    | \bglpat-[A-Za-z0-9_-]{20,}                         # GitLab
    | \bxox[abeoprs]-[A-Za-z0-9-]{10,}                   # Slack
    | \bhooks\.slack\.com/services/[A-Za-z0-9/]{20,}
    | \bSG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}       # SendGrid
    | \bpypi-[A-Za-z0-9_-]{32,}
    | \bsk_[0-9a-f]{48}\b                                # ElevenLabs
    | \bGOCSPX-[0-9A-Za-z_-]{28}                         # Google client secrets
    | \bxapp-\d-[A-Z0-9]+-\d+-[a-f0-9]{30,}              # Slack apps
    | \bnpm_[A-Za-z0-9]{36}
    | \bhf_[A-Za-z]{34}                                  # Hugging Face
    | \b\d{8,10}:AA[A-Za-z0-9_-]{33}                     # Telegram bots
    | \bdop_v1_[a-f0-9]{64}                              # DigitalOcean
    | \beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}   # JSON web tokens
    """,
    re.VERBOSE | re.DOTALL,
)
_AFTER: Final = re.compile(
    r"""
    (?P<keep>
        \b(?:authorization["']?\s*[:=]\s*["']?(?:bearer|basic)\s+)
      | \b[a-z][a-z0-9+.-]*://[^\s/:@'"]*:(?=[^\s/@'"]+@)
      | (?:password|passwd|pwd|secret|secret_key|api_?key|access_?token|auth_?token|private_?key|client_?secret)
        ["']?\s*(?:=|:)\s*["'](?=[^"'\s]{6,}["'])
    )
    (?P<value>[^\s"'@]+)
    """,
    re.VERBOSE | re.IGNORECASE,
)


def redact(text: str) -> str:
    """The text with every value of a known secret shape replaced by `[redacted]`."""
    text = _WHOLE.sub(HIDDEN, text)
    return _AFTER.sub(lambda found: found["keep"] + HIDDEN, text)


def redact_json(value: Any) -> Any:
    """A JSON value with every string in it redacted; keys stay as they are."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {key: redact_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [redact_json(item) for item in value]
    return value
