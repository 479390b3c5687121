"""What backends share that can tell what their operators take."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from nanoaccel.runtime.backends.base import OperatorTime


class SectionTimes(Protocol):
    """Notes what operators take.

    Attributes:
        looked_up_bytes: As ``OperatorTimer``.
    """

    looked_up_bytes: int

    def begin_section(self) -> None:
        """As ``OperatorTimer``."""
        ...

    def sections(self) -> Sequence[Sequence[OperatorTime]]:
        """As ``OperatorTimer.operator_times``."""
        ...


class Timed:
    """An ``OperatorTimer``, where there is something that notes times."""

    _times: SectionTimes | None

    def begin_section(self) -> None:
        """As ``OperatorTimer``."""
        self._noted.begin_section()

    def operator_times(self) -> Sequence[Sequence[OperatorTime]]:
        """As ``OperatorTimer``."""
        return self._noted.sections()

    def looked_up_bytes(self) -> int:
        """As ``OperatorTimer``."""
        return self._noted.looked_up_bytes

    @property
    def _noted(self) -> SectionTimes:
        assert self._times is not None, "it was not loaded with profile"
        return self._times
