"""The checks of the weekly message."""

from __future__ import annotations

from seedtest_analytics.assets.framework.checks import Check, CheckOutcome

SPOKEN = Check("spoken", "At least one student with answers in the week gets a sentence.")
DELIVERED = Check(
    "delivered", "Messages of the last four weeks arrive: few have failed, and none has been under way for a day."
)
FAILED_LIMIT = 0.05


def spoken(n_students: int, n_active: int, *, n_spoken: int) -> CheckOutcome:
    """Judge how many students of a week get a sentence."""
    text = f"{n_spoken:,} of {n_students:,} students get a sentence; {n_active:,} have answers in the week"
    metadata = {"students": n_students, "active": n_active, "with_sentence": n_spoken}
    return SPOKEN.judged(text, is_passed=n_spoken > 0 or n_active == 0, metadata=metadata)


def delivered(n_sent: int, n_failed: int, *, n_stuck: int) -> CheckOutcome:
    """Judge what became of the messages of the last four weeks."""
    text = f"{n_sent:,} sent, {n_failed:,} failed, {n_stuck:,} under way for more than a day"
    is_passed = n_stuck == 0 and n_failed <= FAILED_LIMIT * (n_sent + n_failed)
    return DELIVERED.judged(text, is_passed=is_passed, metadata={"sent": n_sent, "failed": n_failed, "stuck": n_stuck})
