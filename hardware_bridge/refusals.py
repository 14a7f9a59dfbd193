"""Errors on their way over the wire: into a reply, and out of it as what would have been raised in process."""

from __future__ import annotations

from hardware_bridge.errors import Malformed, NotHeld, Rejected, Unreachable
from hardware_bridge.lease import Tenure
from hardware_bridge.wire import Expired, Failed, Invalid, Message, NotHolder, Refused, Reply

LONGEST = 2000


def refusal(request: Message, error: Exception, tenure: Tenure | None = None) -> Reply:
    """The reply to a request that raised; ``tenure`` tells who holds the lease."""
    session, sequence = request.session, request.sequence
    if isinstance(error, Rejected):
        code, path, value, limit = (text[:LONGEST] for text in (error.code, error.path, error.value, error.limit))
        return Refused(session=session, sequence=sequence, code=code, path=path, value=value, limit=limit)
    if isinstance(error, NotHeld):
        holder, held_s, silent_s = (tenure.holder, tenure.held_s, tenure.silent_s) if tenure else ("", 0.0, 0.0)
        return NotHolder(session=session, sequence=sequence, holder=holder, held_s=held_s, silent_s=silent_s)
    reason = str(error)[:LONGEST]
    if isinstance(error, Malformed):
        return Invalid(session=session, sequence=sequence, reason=reason)
    return Failed(session=session, sequence=sequence, reason=f"{type(error).__name__}: {reason}"[:LONGEST])


def raise_refusal(reply: Reply) -> None:
    """Raise what a reply says went wrong; nothing for good news.

    Raises:
        Rejected, Malformed, NotHeld: as in process.
        Unreachable: the instrument behind the bridge failed, or the request came too late to be carried out.
    """
    if isinstance(reply, Refused):
        raise Rejected(reply.code, reply.path, reply.value, reply.limit)
    if isinstance(reply, Invalid):
        raise Malformed(reply.reason)
    if isinstance(reply, NotHolder):
        if not reply.holder:
            raise NotHeld("nobody holds the lease any more: it was lost, or the bridge was started anew")
        raise NotHeld(
            f"the lease is held by {reply.holder} for {reply.held_s:.1f} s, last heard {reply.silent_s:.1f} s ago"
        )
    if isinstance(reply, Expired):
        raise Unreachable(f"the request reached the instrument {reply.late_s:.2f} s too late and was not carried out")
    if isinstance(reply, Failed):
        raise Unreachable(f"the instrument behind the bridge failed: {reply.reason}")
