"""Items from many threads to one poller."""

import select
import threading

from hardware_bridge.inbox import Mailbox


def readable(box: Mailbox[int]) -> bool:
    return bool(select.select([box.fileno()], [], [], 0)[0])


def test_it_is_readable_while_something_waits_and_gives_all_in_order() -> None:
    box: Mailbox[int] = Mailbox()
    assert not readable(box)
    assert box.drain() == []
    for item in range(3):
        box.put(item)
    assert readable(box)
    assert box.drain() == [0, 1, 2]
    assert not readable(box)
    box.close()


def test_nothing_is_lost_between_threads() -> None:
    box: Mailbox[int] = Mailbox()
    got: list[int] = []

    def put(first: int) -> None:
        for item in range(first, first + 500):
            box.put(item)

    threads = [threading.Thread(target=put, args=(first,)) for first in (0, 500, 1000)]
    for thread in threads:
        thread.start()
    while len(got) < 1500:
        assert select.select([box.fileno()], [], [], 5.0)[0], "what was put was not seen"
        got += box.drain()
    for thread in threads:
        thread.join()
    box.close()
    assert sorted(got) == list(range(1500))


def test_a_closed_box_takes_nothing_and_touches_no_descriptor_of_others() -> None:
    box: Mailbox[int] = Mailbox()
    box.put(1)
    box.close()
    other: Mailbox[int] = Mailbox()  # gets the number of the descriptor that was given back
    box.put(2)
    assert box.drain() == []
    assert not readable(other)
    box.close()
    other.close()
