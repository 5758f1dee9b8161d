"""Where a conversation is at home: the same for all its turns, in every process, and evenly spread."""

import subprocess
import sys
from collections import Counter

from schemas.chat import Chat, Image, Message, Text, Tool
from schemas.media import Draw, Embed
from workers.replicas.prefix import conversation_of, load_of, score

SYSTEM = Message("system", (Text("You are a lighthouse keeper. " * 40),))
ADDRESSES = [f"10.0.0.{number}:8000" for number in range(1, 6)]


def user(*texts: str) -> Message:
    return Message("user", tuple(map(Text, texts)))


def assistant(text: str) -> Message:
    return Message("assistant", (Text(text),))


FIRST = Chat((SYSTEM, user("How is the sea?")))


def home(conversation: int, addresses: list[str]) -> str:
    return max(addresses, key=lambda address: score(conversation, address))


def test_every_turn_is_at_home_where_the_first_was() -> None:
    later = Chat((*FIRST.messages, assistant("Calm."), user("And now?"), assistant("Rough."), user("Now?")))
    assert conversation_of(later) == conversation_of(FIRST)


def test_what_begins_otherwise_is_another_conversation() -> None:
    others = [
        Chat((SYSTEM, user("How is the sea!"))),
        Chat((SYSTEM, user("How is ", "the sea?"))),
        Chat((user("How is the sea?"),)),
        Chat((Message("developer", SYSTEM.parts), user("How is the sea?"))),
        Chat(FIRST.messages, tools=(Tool("look"),)),
        Chat((SYSTEM, Message("user", (Text("How is the sea?"), Image("image/png", "aGk="))))),
        Chat((SYSTEM, Message("user", (Text("How is the sea?"), Image("image/png", "aGo="))))),
    ]
    assert len({conversation_of(chat) for chat in [FIRST, *others]}) == 1 + len(others)


def test_of_a_long_text_its_ends_and_its_length_tell() -> None:
    long = "x" * 100_000
    assert conversation_of(Chat((user(long),))) == conversation_of(Chat((user(long[:-1] + "x"),)))
    assert conversation_of(Chat((user(long),))) != conversation_of(Chat((user(long[:-1] + "y"),)))
    assert conversation_of(Chat((user(long),))) != conversation_of(Chat((user(long + "x"),)))


def test_another_process_finds_the_same_home() -> None:
    """Python's own hashes differ from one to the next."""
    program = (
        "from schemas.chat import Chat, Message, Text\n"
        "from workers.replicas.prefix import conversation_of, score\n"
        f"conversation = conversation_of(Chat((Message('user', (Text('Ahoy'),)),)))\n"
        f"print(conversation, [score(conversation, address) for address in {ADDRESSES}])"
    )
    own = conversation_of(Chat((user("Ahoy"),)))
    ran = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert ran.stdout.strip() == f"{own} {[score(own, address) for address in ADDRESSES]}"


def test_conversations_spread_evenly() -> None:
    conversations = [conversation_of(Chat((user(f"Question {number}"),))) for number in range(5000)]
    homes = Counter(home(conversation, ADDRESSES) for conversation in conversations)
    # Binomial: 1000 each, with a standard deviation of 28.
    assert all(850 < count < 1150 for count in homes.values())


def test_when_an_address_goes_only_its_own_move_and_they_spread() -> None:
    conversations = [conversation_of(Chat((user(f"Question {number}"),))) for number in range(5000)]
    gone, *rest = ADDRESSES
    moved = [home(each, rest) for each in conversations if home(each, ADDRESSES) == gone]
    stayed = [each for each in conversations if home(each, ADDRESSES) != gone]
    assert all(home(each, rest) == home(each, ADDRESSES) for each in stayed)
    assert all(150 < count < 350 for count in Counter(moved).values())
    assert len(Counter(moved)) == 4


def test_a_short_chat_is_told_from_no_other_and_a_longer_one_is_more_work() -> None:
    short, long = Chat((user("Ahoy"),)), Chat((user("Ahoy" * 8192),))
    assert load_of(short, 2048).conversation is None
    assert load_of(long, 2048).conversation == conversation_of(long)
    assert load_of(long, 0).conversation is None
    assert 1 < load_of(short, 2048).work < 1.01
    assert load_of(long, 2048).work == 5


def test_what_is_no_chat_has_no_home() -> None:
    assert load_of(Draw("a boat", "512x512"), 1).work == 1
    inputs = Embed(("x" * 8_192, "x" * 8_192))
    assert (load_of(inputs, 1).work, load_of(inputs, 1).conversation) == (3, None)
