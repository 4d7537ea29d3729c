"""The messages of `POST /v1/look`: a daemon asks a proxy to look at addresses of a silent host, and what it saw.

Everything is bounded, so that one request costs little. What may be looked at is not decided here.
"""

from typing import Annotated, Final, Self

from pydantic import AfterValidator, Field, StringConstraints, ValidationError

from fenced.core.heard.looks import Saw, Target
from fenced.model.text import one_line
from fenced.ports.devices import BadParameters, DeviceError
from fenced.ports.liveness import Question, Seen
from fenced.proxy.protocol import Name, WireClock, WireModel, read

LOOK_PATH: Final = "/v1/look"
LOOK_SECONDS_MAX: Final = 60.0
TARGETS_MAX: Final = 8
CONTROLS_MAX: Final = 8
PORTS_MAX: Final = 16
AGENTS_MAX: Final = 4
WHY_CHARACTERS_MAX: Final = 1000

HostName = Annotated[str, StringConstraints(max_length=253)]
Network = Annotated[str, StringConstraints(max_length=253)]
Port = Annotated[int, Field(strict=True, ge=1, le=65535)]
Line = Annotated[str, StringConstraints(max_length=WHY_CHARACTERS_MAX), AfterValidator(one_line)]


class WireTarget(WireModel):
    """An address of a host. `address`: "" if only `agents` are asked."""

    network: Network = ""
    address: HostName = ""
    controls: Annotated[tuple[HostName, ...], Field(max_length=CONTROLS_MAX)] = ()


class WireAgent(WireModel):
    """A proxy agent that runs on the host."""

    host: HostName
    port: Port


class LookRequest(WireModel):
    """`timeout` in seconds, for the probes. `needs_control`: as at ports.liveness; an older proxy ignores it."""

    id: Name
    targets: Annotated[tuple[WireTarget, ...], Field(min_length=1, max_length=TARGETS_MAX)]
    ports: Annotated[tuple[Port, ...], Field(max_length=PORTS_MAX)] = ()
    agents: Annotated[tuple[WireAgent, ...], Field(max_length=AGENTS_MAX)] = ()
    timeout: Annotated[float, Field(gt=0, le=LOOK_SECONDS_MAX, allow_inf_nan=False)]
    needs_control: Annotated[bool, Field(strict=True)] = False

    @classmethod
    def of(cls, question: Question, number: str) -> Self:
        """Convert a question; what is beyond the bounds is left out. Raises ValidationError for what no proxy takes."""
        targets = (
            WireTarget(network=target.network, address=target.address, controls=target.controls[:CONTROLS_MAX])
            for target in question.targets[:TARGETS_MAX]
        )
        return cls(
            id=number,
            targets=tuple(targets),
            ports=question.ports[:PORTS_MAX],
            agents=tuple(WireAgent(host=host, port=port) for host, port in question.agents[:AGENTS_MAX]),
            timeout=min(question.timeout_seconds, LOOK_SECONDS_MAX),
            needs_control=question.needs_control,
        )

    def question(self) -> Question:
        """Return it as the proxy's looker takes it."""
        return Question(
            targets=tuple(
                Target(network=each.network, address=each.address, controls=each.controls) for each in self.targets
            ),
            ports=self.ports,
            agents=tuple((agent.host, agent.port) for agent in self.agents),
            timeout_seconds=self.timeout,
            needs_control=self.needs_control,
        )


class WireSeen(WireModel):
    """What the proxy saw of one target. `answered`: what answered first; `control`: the control that did.
    `is_by_agent`, `control_fault`: as at ports.liveness."""

    network: Network = ""
    address: HostName = ""
    saw: Saw
    answered: Line = ""
    control: HostName = ""
    milliseconds: Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)] | None = None
    why: Line = ""
    is_by_agent: Annotated[bool, Field(strict=True)] = False
    control_fault: Line = ""

    @classmethod
    def of(cls, seen: Seen) -> Self:
        return cls(
            network=seen.network,
            address=seen.target,
            saw=seen.saw,
            answered=seen.answered[:WHY_CHARACTERS_MAX],
            control=seen.control,
            milliseconds=seen.milliseconds,
            why=seen.why[:WHY_CHARACTERS_MAX],
            is_by_agent=seen.is_by_agent,
            control_fault=seen.control_fault[:WHY_CHARACTERS_MAX],
        )


class LookAnswer(WireModel):
    """What was seen of each target, in the order of the request."""

    id: Name
    looks: Annotated[tuple[WireSeen, ...], Field(max_length=TARGETS_MAX)]
    clock: WireClock

    def seen(self, wanted: LookRequest) -> tuple[Seen, ...] | None:
        """Return what was seen; None if this is no answer to that request. A control that nobody asked for is none."""
        asked = [(target.network, target.address) for target in wanted.targets]
        if self.id != wanted.id or [(look.network, look.address) for look in self.looks] != asked:
            return None
        return tuple(_seen(look, target) for look, target in zip(self.looks, wanted.targets, strict=True))


def _seen(look: WireSeen, target: WireTarget) -> Seen:
    return Seen(
        network=look.network,
        target=look.address,
        saw=look.saw,
        answered=look.answered or ("an answer" if look.saw is Saw.ALIVE else ""),
        control=look.control if look.control in target.controls else "",
        milliseconds=look.milliseconds,
        why=look.why,
        is_by_agent=look.is_by_agent,
        control_fault=look.control_fault,
    )


def look_request(proxy: str, question: Question, number: str) -> LookRequest:
    """Return the message. Raises BadParameters for a question that no proxy takes."""
    try:
        return LookRequest.of(question, number)
    except ValidationError as exc:
        raise BadParameters(f"proxy {proxy}: what is to be looked at can't be sent: {exc.errors()[0]['msg']}") from exc


def seen_in(proxy: str, wanted: LookRequest, body: bytes) -> tuple[Seen, ...]:
    """Return what an answer says of each target. Raises DeviceError if it is none to this request."""
    try:
        seen = read(LookAnswer, body).seen(wanted)
    except ValueError:
        seen = None
    if seen is None:
        raise DeviceError(f"proxy {proxy} answered something that is no answer to this look", may_be_done=False)
    return seen
