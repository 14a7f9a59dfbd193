"""A chooser that answers from a Ray actor, many instruments in one batch; while it is away, the agent's own one does.

    agent 1 --candidates--> messenger 1 --+            +--> order of the candidates --> agent 1
    agent 2 --candidates--> messenger 2 --+--> actor --+--> order of the candidates --> agent 2

No command comes back, only an order of those that the agent made itself a moment ago, and only under the key of the
question that waits: a late answer, or one of another question, is nobody's. What runs is then asked of the bridge under
the agent's own fencing token, which neither messenger nor actor has. The messenger is a process of its own because Ray
ends the processes that joined it when its head is lost; an agent goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import multiprocessing
import socket
import struct
import time
from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from hardware_bridge.errors import Malformed
from hardware_bridge.messages import InstrumentState
from hardware_bridge.words import Count, Name, Number, Word, WordT, decode, encode
from policies.interface import Chooser, Proposal, Situation

LOCAL = "local"
PATIENCE_S = 0.1
"""How long an answer is waited for; the loop's heartbeat bears four times that."""

AGAIN_S = 1.0
"""How long the agent's own chooser does, after an answer that did not come, before the actor is asked again."""

NAMESPACE = "adaptem"
"""Where all agents find the same actors; Ray would give each its own."""

MOST_BYTES = 1 << 26
_LENGTH = struct.Struct("<I")


class Question(Word, frozen=True, kw_only=True):
    """Which of these candidates, as things stand? ``key`` is used once."""

    key: Name
    proposals: tuple[Proposal, ...]
    turn: Count
    state: InstrumentState
    electrons_left: Number
    time_left_s: Number

    @property
    def situation(self) -> Situation:
        """How things stand."""
        return Situation(self.turn, self.state, self.electrons_left, self.time_left_s)


class Answer(Word, frozen=True, kw_only=True):
    """The candidates of a question by their numbers, best first, distinct after it, and the node that says so."""

    key: Name
    order: tuple[Count, ...]
    node: Name


@runtime_checkable
class ManyChooser(Protocol):
    """A chooser that answers several questions at once in less time than one by one."""

    def rank_many(self, asked: Sequence[tuple[Sequence[Proposal], Situation]]) -> Sequence[Sequence[Proposal]]:
        """Return what ``rank`` would for each."""
        ...


def orders(chooser: Chooser, questions: Sequence[Question]) -> list[tuple[int, ...]]:
    """What a chooser makes of each question, by the numbers of its candidates."""
    if isinstance(chooser, ManyChooser):
        ranked = chooser.rank_many([(question.proposals, question.situation) for question in questions])
    else:
        ranked = [chooser.rank(question.proposals, question.situation) for question in questions]
    numbered = [{id(proposal): n for n, proposal in enumerate(question.proposals)} for question in questions]
    return [tuple(numbers[id(p)] for p in some) for numbers, some in zip(numbered, ranked, strict=True)]


class Desk:
    """The actor: what is asked while it answers is its next batch. ``answered`` counts questions and batches."""

    def __init__(self, chooser: Chooser) -> None:
        import ray

        self._chooser = chooser
        self._node = ray.get_runtime_context().get_node_id()
        self._waiting: list[tuple[Question, asyncio.Future[bytes]]] = []
        self._answered = (0, 0)

    async def answer(self, question: bytes) -> bytes:
        """Answer a question, with all that wait."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[bytes] = loop.create_future()
        self._waiting.append((decode(Question, question), future))
        if len(self._waiting) == 1:
            loop.call_soon(self._answer_all)
        return await future

    async def answered(self) -> tuple[int, int]:
        """How many questions were answered in how many batches."""
        return self._answered

    def _answer_all(self) -> None:
        some, self._waiting = self._waiting, []
        try:
            found = orders(self._chooser, [question for question, _ in some])
        except Exception as error:  # noqa: BLE001 - told to all who asked
            for _, future in some:
                future.set_exception(error)
            return
        self._answered = (self._answered[0] + len(some), self._answered[1] + 1)
        for (question, future), order in zip(some, found, strict=True):
            future.set_result(encode(Answer(key=question.key, order=order, node=self._node)))


def desk(chooser: Chooser) -> Any:
    """The actor of a chooser in the cluster that this process is in: one for all who have the same chooser.

    It is brought back, wherever there is a place, when its node is lost, and stays when all who ask are gone.
    """
    import ray

    untyped: Any = ray
    name = f"adaptem-{hashlib.sha256(untyped.cloudpickle.dumps(chooser)).hexdigest()[:16]}"
    kept = {"name": name, "namespace": NAMESPACE, "get_if_exists": True, "lifetime": "detached", "max_restarts": -1}
    return untyped.remote(max_concurrency=1000)(Desk).options(**kept).remote(chooser)


class Served:
    """A chooser whose questions an actor answers, or, where that is away or late, the agent's ``own`` chooser.

    ``answered`` and ``own_answers`` count which of them it was, ``node`` is where the last answer came from.
    """

    def __init__(self, own: Chooser, address: str = LOCAL, patience_s: float = PATIENCE_S) -> None:
        self._own, self._address, self._patience_s = own, address, patience_s
        self._line: socket.socket | None = None
        self._messenger: Any = None
        self._asked, self._again_s = 0, 0.0
        self._waits = False
        self.answered, self.own_answers, self.node = 0, 0, ""

    def rank(self, proposals: Sequence[Proposal], situation: Situation) -> Sequence[Proposal]:
        """Return the proposals best first, distinct after it."""
        answer = self._answer(proposals, situation) if time.monotonic() >= self._again_s else None
        if answer is None:
            self.own_answers += 1
            return self._own.rank(proposals, situation)
        self.answered, self.node = self.answered + 1, answer.node
        return [proposals[number] for number in answer.order]

    def close(self) -> None:
        """End the messenger."""
        if self._line is not None:
            self._line.close()
            self._messenger.kill()
            self._messenger.join()
        self._line, self._waits = None, False

    def _answer(self, proposals: Sequence[Proposal], situation: Situation) -> Answer | None:
        """The actor's answer; None where there is none in time, and then for a while none is asked for."""
        deadline_s = time.monotonic() + self._patience_s
        try:
            line = self._line or self._opened()
            while self._waits:  # for the answer to an earlier question, which is no use any more
                receive(line, Answer, deadline_s)
                self._waits = False
            self._asked += 1
            key = f"q{self._asked}"
            question = Question(
                key=key,
                proposals=tuple(proposals),
                turn=situation.turn,
                state=situation.state,
                electrons_left=situation.electrons_left,
                time_left_s=situation.time_left_s,
            )
            send(line, question, deadline_s)
            self._waits = True
            answer = receive(line, Answer, deadline_s)
            self._waits = False
            fitting = {*answer.order} & {*range(len(proposals))}
            if answer.key == key and fitting and len(fitting) == len(answer.order):
                return answer
        except TimeoutError:
            pass
        except (OSError, Malformed):
            self.close()
        self._again_s = time.monotonic() + AGAIN_S
        return None

    def _opened(self) -> socket.socket:
        """Start a messenger; it answers once it is in the cluster."""
        context = multiprocessing.get_context("spawn")
        self._line, far = socket.socketpair()
        self._messenger = context.Process(target=carry, args=(far, self._address, self._own), daemon=True)
        self._messenger.start()
        far.close()
        return self._line


def carry(line: socket.socket, address: str, chooser: Chooser) -> None:
    """What a messenger does: take questions to the actor and its answers back, until the agent is gone."""
    import ray

    quiet: Any = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address == LOCAL:
        ray.init(_node_ip_address="127.0.0.1", include_dashboard=False, **quiet)
    else:
        ray.init(address=address, **quiet)
    actor = desk(chooser)
    with contextlib.suppress(ConnectionError):
        while True:
            question = receive(line, Question, None)
            try:
                line.sendall(_framed(ray.get(actor.answer.remote(encode(question)))))
            except ray.exceptions.RayError:
                # Away: no order is no answer, and the agent asks again later.
                send(line, Answer(key=question.key, order=(), node="none"), None)


def send(line: socket.socket, word: Word, deadline_s: float | None) -> None:
    """Write a word; raises OSError where the line is broken, also by a message that did not get through in time."""
    _limited(line, deadline_s)
    try:
        line.sendall(_framed(encode(word)))
    except TimeoutError:
        raise ConnectionError("a message was cut off") from None


def receive(line: socket.socket, kind: type[WordT], deadline_s: float | None) -> WordT:
    """Read a word; TimeoutError before the first byte of one, OSError where the line is broken, Malformed."""
    _limited(line, deadline_s)
    (length,) = _LENGTH.unpack(_read(line, _LENGTH.size))
    if length > MOST_BYTES:
        raise Malformed(f"a message of {length} bytes")
    try:
        return decode(kind, _read(line, length))
    except TimeoutError:
        raise ConnectionError("a message was cut off") from None


def _framed(body: bytes) -> bytes:
    return _LENGTH.pack(len(body)) + body


def _read(line: socket.socket, count: int) -> bytes:
    parts: list[bytes] = []
    while count:
        try:
            part = line.recv(count)
        except TimeoutError:
            if parts:
                raise ConnectionError("a message was cut off") from None
            raise
        if not part:
            raise ConnectionError("the other end is gone")
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def _limited(line: socket.socket, deadline_s: float | None) -> None:
    line.settimeout(None if deadline_s is None else max(deadline_s - time.monotonic(), 1e-3))
