"""Errors cross the wire and come out as what they were."""

import pytest

from hardware_bridge.errors import BridgeError, Malformed, NotHeld, Rejected, Unreachable
from hardware_bridge.lease import Tenure
from hardware_bridge.refusals import raise_refusal, refusal
from hardware_bridge.wire import REPLIES, Expired, Noted, Recover, read
from hardware_bridge.words import encode

REQUEST = Recover(session="s", sequence=7, command_id="c")


@pytest.mark.parametrize("error", [Rejected("range", "go.stage_x_nm", "5", "0..1"), Malformed("fov_nm: NaN")])
def test_what_the_sender_did_wrong_is_told_as_in_process(error: BridgeError) -> None:
    reply = read(REPLIES, encode(refusal(REQUEST, error)))
    assert (reply.session, reply.sequence) == ("s", 7)
    with pytest.raises(type(error)) as caught:
        raise_refusal(reply)
    assert str(caught.value) == str(error)
    assert vars(caught.value) == vars(error)


def test_who_holds_the_lease_is_told() -> None:
    with pytest.raises(NotHeld, match=r"held by Ada for 12\.0 s, last heard 0\.5 s ago"):
        raise_refusal(refusal(REQUEST, NotHeld("no"), Tenure("Ada", 12.0, 0.5)))
    with pytest.raises(NotHeld, match="nobody holds the lease"):
        raise_refusal(refusal(REQUEST, NotHeld("no")))


def test_a_failing_driver_is_told_by_what_it_raised() -> None:
    with pytest.raises(Unreachable, match="RuntimeError: the stage is stuck"):
        raise_refusal(refusal(REQUEST, RuntimeError("the stage is stuck")))
    with pytest.raises(Unreachable, match=r"0\.25 s too late"):
        raise_refusal(Expired(session="s", sequence=7, late_s=0.25))


def test_words_too_long_for_the_wire_are_cut() -> None:
    long = "x" * 5000
    for error in (Rejected(long, long, long, long), Malformed(long), ValueError(long)):
        read(REPLIES, encode(refusal(REQUEST, error)))


def test_good_news_raises_nothing() -> None:
    raise_refusal(Noted(session="s", sequence=1))
