from collections import Counter

from aiokafka.partitioner import DefaultPartitioner

from storage.partitioning import Evenly

FOUR = [0, 1, 2, 3]


def test_no_partition_is_two_messages_ahead_of_another() -> None:
    evenly = Evenly()
    sent: Counter[int] = Counter(dict.fromkeys(FOUR, 0))
    for _ in range(1_000):
        sent[evenly(None, FOUR, [3, 1, 0, 2])] += 1
        assert max(sent.values()) - min(sent.values()) <= 1


def test_topics_that_take_turns_reach_all_of_their_partitions() -> None:
    evenly = Evenly()
    first: Counter[int] = Counter()
    for _ in range(1_000):
        first[evenly(None, FOUR, FOUR)] += 1
        evenly(None, FOUR, FOUR)
    assert min(first[partition] for partition in FOUR) > 150


def test_a_partition_without_a_leader_is_left_out() -> None:
    evenly = Evenly()
    assert {evenly(None, FOUR, [1, 3]) for _ in range(20)} == {1, 3}
    assert {evenly(None, FOUR, []) for _ in range(20)} == {0, 1, 2, 3}


def test_a_key_leads_where_it_always_led() -> None:
    keys = [f"account-{number}".encode() for number in range(50)]
    assert [Evenly()(key, FOUR, FOUR) for key in keys] == [DefaultPartitioner()(key, FOUR, FOUR) for key in keys]
