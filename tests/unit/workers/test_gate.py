import msgspec
import pytest

from schemas.chat import Chat, Message, Text
from schemas.jobs import Job
from schemas.logged import BATCH_CHANNEL, LOG_CHANNEL
from schemas.media import Draw, Speak
from schemas.usage import Price, Usage
from storage.background import Name
from storage.jobs import Claim, Claimed
from storage.replies import reply_channel
from workers.engine import EngineBusy
from workers.gate import MOST_ATTEMPTS, admit, shed

CHAT = Chat((Message("user", (Text("eight by"),)),))
INPUT_TOKENS = 2
"""Four bytes a token."""

JOB = Job("job_1", "acme", "key_1", "m", "chat", "text.default", 0, 60_000, "channel", True, Price(), CHAT)


def claimed(attempt: int = 1, **more: object) -> Claimed:
    return Claimed(Claim.RUN, attempt=attempt, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("attempt", range(1, MOST_ATTEMPTS + 1))
def test_a_job_in_time_that_somebody_wants_runs(attempt: int) -> None:
    assert admit(JOB, claimed(attempt), 59_999) is None


@pytest.mark.parametrize(
    ("claim", "now_ms", "end", "code", "output_tokens", "poison"),
    [
        (claimed(), 60_000, "expired", "deadline_exceeded", 0, False),
        (claimed(cancelled=True), 0, "cancelled", "cancelled", 0, False),
        (claimed(cancelled=True), 90_000, "cancelled", "cancelled", 0, False),
        (claimed(4), 0, "failed", "worker_lost", 0, True),
        (claimed(4), 90_000, "expired", "deadline_exceeded", 0, False),
        (claimed(2, sent_tokens=17), 0, "failed", "worker_lost", 17, False),
        (claimed(2, sent_tokens=0), 0, "failed", "worker_lost", 0, False),
        (claimed(2, sent_tokens=17, cancelled=True), 90_000, "failed", "worker_lost", 17, False),
        (claimed(9, sent_tokens=17), 0, "failed", "worker_lost", 17, False),
    ],
)
def test_a_job_that_does_not_run_has_an_end(
    claim: Claimed, now_ms: int, *, end: str, code: str, output_tokens: int, poison: bool
) -> None:
    refusal = admit(JOB, claim, now_ms)
    assert refusal is not None
    assert (refusal.end, refusal.error.code, refusal.poison) == (end, code, poison)
    charged = Usage(INPUT_TOKENS if output_tokens else 0, output_tokens, estimated=claim.sent_tokens is not None)
    assert refusal.usage == charged


@pytest.mark.parametrize(("sent_tokens", "characters"), [(None, 0), (0, 8)])
def test_speech_that_was_begun_is_charged_for_the_text_that_was_asked(sent_tokens: int | None, characters: int) -> None:
    job = msgspec.structs.replace(JOB, work=Speak("eight by", "joe"))
    refusal = admit(job, claimed(MOST_ATTEMPTS + 1, sent_tokens=sent_tokens), 0)
    assert refusal is not None
    assert refusal.usage.units == characters


def test_a_draft_that_was_sent_is_no_picture() -> None:
    job = msgspec.structs.replace(JOB, work=Draw("a boat", "512x512", partial_images=1))
    refusal = admit(job, claimed(MOST_ATTEMPTS + 1, sent_tokens=1), 0)
    assert refusal is not None
    assert refusal.usage == Usage(estimated=True)


WAITED = msgspec.structs.replace(JOB, reply_to=reply_channel("door"))
PATIENCE_S = 2.5


def test_a_job_that_has_waited_longer_than_its_lane_lets_is_shed_and_costs_nothing() -> None:
    assert admit(WAITED, claimed(), 2_000, PATIENCE_S) is None
    assert admit(WAITED, claimed(), 2_001, PATIENCE_S) is not None
    refusal = admit(WAITED, claimed(), 4_000, PATIENCE_S)
    assert refusal is not None
    assert (refusal.end, refusal.error.code, refusal.error.status) == ("failed", "overloaded", 503)
    assert (refusal.error.retry_after_s, refusal.usage, refusal.poison) == (1.5, Usage(), False)


@pytest.mark.parametrize(
    ("job", "claim"),
    [
        pytest.param({"reply_to": LOG_CHANNEL}, {}, id="a submission"),
        pytest.param({"reply_to": BATCH_CHANNEL}, {}, id="a batch's"),
        pytest.param({"reply_to": Name("acme", "job_1").channel}, {}, id="in the background"),
        pytest.param({}, {"attempt": 2}, id="begun by a worker that is gone"),
    ],
)
def test_what_nobody_waits_for_with_an_open_request_and_what_was_begun_runs(
    job: dict[str, str], claim: dict[str, int]
) -> None:
    assert admit(msgspec.structs.replace(WAITED, **job), claimed(**claim), 50_000, PATIENCE_S) is None


def test_who_was_cancelled_or_is_past_its_deadline_hears_that() -> None:
    for claim, now_ms, code in (
        (claimed(cancelled=True), 50_000, "cancelled"),
        (claimed(), 60_000, "deadline_exceeded"),
    ):
        refusal = admit(WAITED, claim, now_ms, PATIENCE_S)
        assert refusal is not None
        assert refusal.error.code == code


@pytest.mark.parametrize(("said_s", "told_s"), [(None, 1.0), (0.2, 1.0), (7.0, 7.0)])
def test_an_engine_that_had_no_room_sheds(said_s: float | None, told_s: float) -> None:
    error = shed(EngineBusy("The engine of model 'm' could not take the request (503).", retry_after_s=said_s))
    assert (error.status, error.code, error.retry_after_s) == (503, "overloaded", told_s)
