"""How often we may ask services that are not ours, and when we stop asking: one limiter and one breaker for each.

The limits count for one process: with n instances the other side sees n times as much.
"""

from __future__ import annotations

from pybreaker import CircuitBreaker
from pyrate_limiter import Duration, Limiter, Rate

from tidemark.runtime.breaking import Breaker

# The pricing service grants each desk 20 requests a second; half a minute is how long it takes to start again.
PRICES_LIMITER = Limiter(Rate(20, Duration.SECOND))
PRICES_BREAKER = Breaker("prices", failures=5, rest=30.0)

# Slack takes one message a second and channel, and some more for a moment.
SLACK_LIMITER = Limiter(Rate(60, Duration.MINUTE))
SLACK_BREAKER = CircuitBreaker(fail_max=5, reset_timeout=60, name="slack")

# Two lines at once are all that the contract for the floor's voice allows.
SPEECH_LIMITER = Limiter(Rate(2, Duration.SECOND))
SPEECH_BREAKER = CircuitBreaker(fail_max=3, reset_timeout=60, name="speech")

# Stripe takes 25 writes a second in its test mode, far more than we send.
INVOICES_LIMITER = Limiter(Rate(25, Duration.SECOND))
INVOICES_BREAKER = CircuitBreaker(fail_max=5, reset_timeout=30, name="invoices")
