"""Who may decide: one operator at a time. Others look on until the lease is given up, or falls to them."""

from __future__ import annotations

from collections.abc import Callable

from agent.console.words import Forbidden, Person

LEASE_S = 30.0
"""A holder who has not been heard for so long has none any more; an assumption of this console."""


class Lease:
    """The lease of one console. It is taken by whoever decides first, and kept by being heard."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._holder: Person | None = None
        self._heard_s = 0.0

    @property
    def holder(self) -> Person | None:
        """Who holds it; nobody where its holder is not heard any more."""
        if self._holder is not None and self._clock() - self._heard_s > LEASE_S:
            self._holder = None
        return self._holder

    def heard(self, person: Person) -> None:
        """Keep the lease of a person who is there; nothing for all others."""
        if self.holder == person:
            self._heard_s = self._clock()

    def check(self, person: Person) -> None:
        """Check that a person may decide now.

        Raises:
            Forbidden: an observer, or somebody else holds the lease.
        """
        if person.role != "operator":
            raise Forbidden(f"{person.name} is an {person.role}: an operator decides")
        holder = self.holder
        if holder is not None and holder != person:
            where = f"{holder.name} at {holder.screen}"
            raise Forbidden(f"{where} holds the lease: ask for it, or take it")

    def take(self, person: Person, force: bool = False) -> None:
        """Give the lease to a person; with ``force`` even away from its holder.

        Raises:
            Forbidden: an observer, or held by somebody else and not forced.
        """
        if force and person.role == "operator":
            self._holder = None
        self.check(person)
        self._holder, self._heard_s = person, self._clock()

    def drop(self, person: Person) -> None:
        """Give the lease up; nothing where the person does not hold it."""
        if self._holder == person:
            self._holder = None
