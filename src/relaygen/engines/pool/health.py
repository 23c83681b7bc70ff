"""Whether a replica may be given a leg. No clock and no tasks: the caller says what time it is.

Two kinds of evidence count apart, for a server may answer its health page and fail its work:

* legs: `PoolOptions.eject_after` failures in a row eject a replica for a time that doubles; then
  one leg may try, and its first token brings the replica back;
* checks: `PoolOptions.down_after` failed ones take it out until one passes; then one leg may try.

Two answers are no failures. A server that is busy and says for how long rests for that time, and is
then what it was. One that is not set up for us (another model, another key) is ejected at once.

Where every replica of a pool is `DOWN`, one leg at a time may try one all the same: checks that
fail for a reason of their own must not take away servers that work. Not so one that is unproven: it
was never seen, and until a check has passed nobody knows what it would answer.

Source: ejection by consecutive failures for a growing time is Envoy's outlier detection; the state
between out and in is that of the circuit breaker (Nygard, "Release It!"). Envoy's panic threshold
lets all legs through below half of the hosts; here the survivors' queue protects them, so that one
leg is enough to find out.
"""

from __future__ import annotations

from enum import StrEnum

from relaygen.engines.pool.options import PoolOptions

_SHORTEST_REST_S = 0.1  # "0" would have a leg go round without a pause


class ReplicaState(StrEnum):
    """What a replica may be given."""

    UP = "UP"
    """Any leg."""
    RESTING = "RESTING"
    """None until the time is over that it asked for."""
    EJECTED = "EJECTED"
    """None until its time is over."""
    HALF_OPEN = "HALF_OPEN"
    """One leg at a time, to find out."""
    DOWN = "DOWN"
    """None: it failed its checks."""


class Trigger(StrEnum):
    """What changes the state of a replica."""

    BUSY = "busy"
    EJECT = "failures in a row, or a misfit"
    TIME_OVER = "time is over"
    TRIAL_PASSED = "trial: first token"
    TRIAL_FAILED = "trial: failure"
    CHECK_FAILED = "checks failed"
    CHECK_PASSED = "check passed"


_S, _T = ReplicaState, Trigger

TRANSITIONS: dict[tuple[ReplicaState, Trigger], ReplicaState] = {
    (_S.UP, _T.BUSY): _S.RESTING,
    (_S.UP, _T.EJECT): _S.EJECTED,
    (_S.UP, _T.CHECK_FAILED): _S.DOWN,
    (_S.RESTING, _T.TIME_OVER): _S.UP,
    (_S.RESTING, _T.EJECT): _S.EJECTED,
    (_S.RESTING, _T.CHECK_FAILED): _S.DOWN,
    (_S.EJECTED, _T.TIME_OVER): _S.HALF_OPEN,
    (_S.EJECTED, _T.CHECK_FAILED): _S.DOWN,
    (_S.HALF_OPEN, _T.BUSY): _S.EJECTED,
    (_S.HALF_OPEN, _T.TRIAL_PASSED): _S.UP,
    (_S.HALF_OPEN, _T.TRIAL_FAILED): _S.EJECTED,
    (_S.HALF_OPEN, _T.CHECK_FAILED): _S.DOWN,
    (_S.DOWN, _T.TRIAL_PASSED): _S.UP,
    (_S.DOWN, _T.CHECK_PASSED): _S.HALF_OPEN,
}
"""What is not listed leaves the state as it is."""


class Health:
    """The state of one replica. `now` is in seconds of any one clock."""

    def __init__(self, options: PoolOptions, *, proven: bool = True) -> None:
        self.state = ReplicaState.UP if proven else ReplicaState.DOWN
        self.until = 0.0
        """When a leg may try, where the state is one of waiting."""
        self.ejections = 0
        self.proven = proven
        """Whether it was ever found well."""
        self._options = options
        self._failures = 0
        self._failed_checks = 0
        self._doublings = 0
        self._trial = False

    def may_try(self, now: float, *, all_down: bool) -> bool:
        """Whether a leg may begin now."""
        match self.state:
            case ReplicaState.UP:
                return True
            case ReplicaState.RESTING:
                return now >= self.until
            case ReplicaState.HALF_OPEN:
                return not self._trial
            case ReplicaState.EJECTED:
                return now >= self.until and not self._trial
            case ReplicaState.DOWN:
                return all_down and self.proven and now >= self.until and not self._trial

    def begin(self) -> bool:
        """A leg begins, as `may_try` allowed; returns whether it is a trial."""
        self._take(Trigger.TIME_OVER)
        if self.state is ReplicaState.UP:
            return False
        self._trial = True
        return True

    def trial_passed(self) -> None:
        """The leg that tried has its first token; from now on it is a leg as any other."""
        self._take(Trigger.TRIAL_PASSED)
        self._failures = 0
        self._trial = False

    def ended(self, *, well: bool, trial: bool) -> None:
        """A leg ended without a failure: by itself, or because nobody wanted more of it.

        Args:
            well: it wrote something.
            trial: it was one, and has not passed.
        """
        if trial:
            self._trial = False
        if well and self.state is ReplicaState.UP:
            self._failures = self._doublings = 0

    def failed(self, now: float, *, trial: bool) -> None:
        """A leg failed in a way that may be the replica's fault.

        Where one event broke many legs, those after the first few find the replica out already and
        do not lengthen its time.
        """
        if trial:
            self._trial = False
            self._wait(now)
            self._take(Trigger.TRIAL_FAILED)
        elif self.state is ReplicaState.UP:
            self._failures += 1
            if self._failures >= self._options.eject_after:
                self._wait(now)
                self._take(Trigger.EJECT)

    def busy(self, now: float, seconds: float, *, trial: bool) -> None:
        """A leg was turned away: the replica wants to be left alone for so long."""
        if trial:
            self._trial = False
        if trial or self.state is ReplicaState.UP:
            self.until = now + min(max(seconds, _SHORTEST_REST_S), self._options.max_rest_s)
            self._take(Trigger.BUSY)

    def misfit(self, now: float, *, trial: bool) -> None:
        """A leg found out that the replica is not set up for us."""
        if trial:
            self._trial = False
        if trial or self.state in (ReplicaState.UP, ReplicaState.RESTING):
            self._wait(now)
            self._take(Trigger.TRIAL_FAILED if trial else Trigger.EJECT)

    def checked(self, now: float, *, well: bool) -> None:
        """A check passed or failed."""
        self._failed_checks = 0 if well else self._failed_checks + 1
        if well:
            self.proven = True
            self._take(Trigger.CHECK_PASSED)
        elif self._failed_checks == self._options.down_after:
            self.until = max(self.until, now + self._options.ejected_s)
            self._take(Trigger.CHECK_FAILED)

    def _wait(self, now: float) -> None:
        options = self._options
        seconds = min(options.max_ejected_s, options.ejected_s * 2**self._doublings)
        if seconds < options.max_ejected_s:
            self._doublings += 1
        self.until = now + seconds
        self._failures = 0
        self.ejections += 1

    def _take(self, trigger: Trigger) -> None:
        self.state = TRANSITIONS.get((self.state, trigger), self.state)
