"""When a replica is asked no more, and when it is asked again."""

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from workers.replicas.breaker import Breaker


def broken() -> Breaker:
    breaker = Breaker()
    for _ in range(3):
        breaker.failed(0.0)
    return breaker


def test_two_failures_in_a_row_are_forgiven_and_three_are_not() -> None:
    breaker = Breaker()
    for _ in range(5):
        breaker.failed(0.0)
        breaker.failed(0.0)
        breaker.succeeded(0.0)
    assert breaker.state == "closed"
    breaker.failed(0.0)
    breaker.failed(0.0)
    assert breaker.state == "closed"
    breaker.failed(0.0)
    assert breaker.state == "open"


def test_a_half_of_failures_opens_it_though_no_three_are_in_a_row() -> None:
    breaker = Breaker()
    for second in range(9):
        breaker.failed(second)
        breaker.succeeded(second)
    breaker.succeeded(9)
    assert breaker.state == "closed", "nine of nineteen"
    breaker.failed(9)
    assert breaker.state == "open", "ten of twenty"


def test_what_is_long_past_does_not_count() -> None:
    breaker = Breaker()
    for second in range(9):
        breaker.failed(second)
        breaker.succeeded(second)
    breaker.succeeded(100)
    breaker.failed(100)
    assert breaker.state == "closed"


def test_after_a_second_a_request_may_try() -> None:
    breaker = broken()
    assert not breaker.may_try(0.9)
    assert breaker.may_try(1.0)
    breaker.tries()
    assert breaker.state == "half_open"
    breaker.begun()
    assert breaker.state == "closed"


def test_every_trial_that_fails_doubles_the_wait_up_to_a_minute() -> None:
    breaker, now, waits = broken(), 0.0, []
    for _ in range(8):
        wait_s = next(wait_s for wait_s in (1, 2, 4, 8, 16, 32, 60, 120) if breaker.may_try(now + wait_s))
        assert not breaker.may_try(now + wait_s - 0.1)
        waits.append(wait_s)
        now += wait_s
        breaker.tries()
        breaker.failed(now)
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]


def test_after_an_answer_the_wait_is_short_again() -> None:
    breaker = broken()
    breaker.tries()
    breaker.failed(1.0)
    breaker.tries()
    breaker.succeeded(3.0)
    for _ in range(3):
        breaker.failed(3.0)
    assert breaker.may_try(4.0)


def test_one_that_came_back_is_on_probation_until_it_has_answered() -> None:
    """Beginning is not ending: one that cuts every answer would have three more clients each time."""
    breaker = broken()
    breaker.tries()
    breaker.begun()
    breaker.failed(1.0)
    assert breaker.state == "open"


def test_one_that_begins_and_never_ends_an_answer_is_tried_ever_more_seldom() -> None:
    """Each of these trials is a caller's stream, cut."""
    breaker, now, waits = broken(), 0.0, []
    for _ in range(8):
        wait_s = next(wait_s for wait_s in (1, 2, 4, 8, 16, 32, 60, 120) if breaker.may_try(now + wait_s))
        waits.append(wait_s)
        now += wait_s
        breaker.tries()
        breaker.begun()
        breaker.failed(now)
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]
    now += 60
    breaker.tries()
    breaker.begun()
    breaker.succeeded(now)
    for _ in range(3):
        assert breaker.state == "closed"
        breaker.failed(now)
    assert breaker.may_try(now + 1)


def test_a_trial_that_was_given_up_tells_nothing() -> None:
    breaker = broken()
    breaker.tries()
    breaker.untried()
    assert breaker.state == "open"
    assert breaker.may_try(1.0)


def test_what_began_before_it_was_opened_does_not_lengthen_the_wait() -> None:
    breaker = broken()
    for _ in range(10):
        breaker.failed(0.5)
    assert breaker.may_try(1.0)


def test_two_probes_open_it_and_no_request_tries_until_one_is_well() -> None:
    breaker = Breaker()
    breaker.probed(False, 0.0)
    breaker.probed(True, 1.0)
    breaker.probed(False, 2.0)
    assert breaker.state == "closed"
    breaker.probed(False, 3.0)
    assert breaker.state == "open"
    assert not breaker.may_try(1000.0)
    breaker.probed(True, 1000.0)
    assert breaker.may_try(1000.0)


def test_what_still_ends_well_where_probes_fail_brings_no_requests_there() -> None:
    """An address that is taken out has streams that end one after the other."""
    breaker = Breaker()
    breaker.probed(False, 0.0)
    breaker.probed(False, 1.0)
    for second in range(2, 9):
        breaker.begun()
        breaker.succeeded(second)
        assert breaker.state == "open"
        assert not breaker.may_try(second)
    breaker.probed(True, 9.0)
    assert breaker.may_try(9.0)


def test_one_whose_probes_failed_while_a_request_tried_it_is_tried_again() -> None:
    breaker = broken()
    breaker.tries()
    breaker.probed(False, 2.0)
    breaker.probed(False, 3.0)
    breaker.succeeded(4.0)
    breaker.probed(True, 5.0)
    assert breaker.state == "open", "half open, it would be waited for that nobody tries"
    assert breaker.may_try(5.0)


def test_a_probe_that_is_well_does_not_close_what_requests_have_opened() -> None:
    """One that answers nonsense may say that it is well."""
    breaker = broken()
    breaker.probed(True, 0.1)
    assert breaker.state == "open"
    assert not breaker.may_try(0.9)


@given(st.lists(st.booleans(), max_size=200))
def test_while_less_than_half_fail_and_no_three_in_a_row_it_stays_closed(results: list[bool]) -> None:
    breaker, told = Breaker(), [True] * 10
    for failed in results:
        told.append(not failed)
        if told[-3:] == [False] * 3 or told.count(False) * 2 >= len(told):
            told[-1] = True
    for well in told:
        (breaker.succeeded if well else breaker.failed)(0.0)
        assert breaker.state == "closed"


class Life(RuleBasedStateMachine):
    """Whatever happens in whatever order, a replica that is well again is found to be so."""

    def __init__(self) -> None:
        super().__init__()
        self.breaker = Breaker()
        self.now = 0.0

    @rule(seconds=st.floats(0, 100))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def a_request_fails(self) -> None:
        self.breaker.failed(self.now)

    @rule()
    def a_request_is_answered(self) -> None:
        self.breaker.succeeded(self.now)

    @rule()
    def a_request_tries(self) -> None:
        if self.breaker.may_try(self.now):
            self.breaker.tries()

    @rule()
    def a_request_leaves(self) -> None:
        self.breaker.untried()

    @rule(well=st.booleans())
    def a_probe_looks(self, well: bool) -> None:
        self.breaker.probed(well, self.now)

    @invariant()
    def it_comes_back(self) -> None:
        later = Breaker()
        later.__dict__.update(self.breaker.__dict__)
        later.probed(True, self.now)
        assert later.state == "closed" or later.may_try(self.now + 60)


TestLife = Life.TestCase
