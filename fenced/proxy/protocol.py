"""The protocol between daemon and proxy agent: JSON over HTTPS, `POST /v1/call`, `POST /v1/floor`, `GET /v1/status`.

Defines the messages, their bounds, and the conversion from and to the types of `ports`; nothing of sockets, drivers or
stored tokens. Everything is bounded. Passwords appear only in the body that is sent, never in a repr or an error.
"""

from typing import Annotated, Final, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    field_serializer,
    model_validator,
)

from fenced.model.identity import IDENTITIES_MAX, IDENTITY_CHARACTERS_MAX
from fenced.model.inventory import DeviceSpec, Secret, Tls
from fenced.model.names import MAIN_SHARD, PlugId, Token, UnitId
from fenced.model.power import Outcome, Power, What
from fenced.model.text import Mask, one_line
from fenced.net.once import parsed_once
from fenced.ports.devices import DEVICE_ERRORS, DeviceError

PROTOCOL: Final = 1
"""The protocol version of this program. Increase it when an older program would misread a call."""
CALL_PATH: Final = "/v1/call"
FLOOR_PATH: Final = "/v1/floor"
STATUS_PATH: Final = "/v1/status"
HEALTH_PATH: Final = "/healthz"
METRICS_PATH: Final = "/metrics"
DRIVERS_SHOWN_MAX: Final = 500
DRIVER_CHARACTERS_MAX: Final = 64
"""Drivers with longer names are left out of the status: it must fit into an answer."""
CALL_BYTES_MAX: Final = 64 * 1024
ANSWER_BYTES_MAX: Final = 64 * 1024
TIMEOUT_SECONDS_MAX: Final = 600.0
ERROR_CHARACTERS_MAX: Final = 2000

TOKEN_PATTERN: Final = r"^[0-9]{1,18}-[0-9]{1,18}$"  # noqa: S105  a fence token is no secret
SHARD_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
HOLDER_PATTERN: Final = r"^[A-Za-z0-9._-]{0,64}$"
EPOCH_MAX: Final = 10**18
FLOORS_SHOWN_MAX: Final = 64
"""Floors in a status. Those of stores with longer names are left out: the status must fit into an answer."""
LOOK_ITEMS_MAX: Final = 64
STORE_SHOWN_CHARACTERS_MAX: Final = 128
UNDER_WAY_MAX: Final = 400
UNDER_WAY_BYTES_MAX: Final = 48 * 1024
"""Commands in the answer to a raised floor, which they must fit into, with plugs of any length."""
DRIVER_PATTERN: Final = r"^[A-Za-z][A-Za-z0-9_.-]{0,127}$"
"""A driver's name becomes a file name along the agent path, so it contains no separators."""

Name = Annotated[str, StringConstraints(min_length=1, max_length=1024)]
Text = Annotated[str, StringConstraints(max_length=4096)]
Shown = Annotated[str, StringConstraints(max_length=4096), AfterValidator(one_line)]
"""Text of a proxy for operators."""
Identity = Annotated[str, StringConstraints(max_length=IDENTITY_CHARACTERS_MAX)]
OptionName = Annotated[str, StringConstraints(min_length=1, max_length=128)]
Seconds = Annotated[float, Field(gt=0, le=TIMEOUT_SECONDS_MAX, allow_inf_nan=False)]
Shard = Annotated[str, StringConstraints(pattern=SHARD_PATTERN)]
Holder = Annotated[str, StringConstraints(pattern=HOLDER_PATTERN)]
"""Who holds a lease: random with each start of a daemon; "" from an older daemon."""
Epoch = Annotated[int, Field(ge=0, le=EPOCH_MAX)]
Moment = Annotated[float, Field(ge=0, le=1e12, allow_inf_nan=False)]


class WireModel(BaseModel):
    """Unknown fields are ignored, so that a newer program may add some. Error texts never repeat the input."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


M = TypeVar("M", bound=WireModel)


def read(model: type[M], body: bytes) -> M:
    """Parse a body. Raises ValueError. Duplicate keys are an error: parsers disagree about them (RFC 8259, 4)."""
    found = model.model_validate_json(body)
    parsed_once(body)
    return found


class WireDevice(WireModel):
    """A DeviceSpec in a call."""

    driver: Annotated[str, StringConstraints(pattern=DRIVER_PATTERN)]
    plug_id: Name
    unit_id: Name
    address: Text = ""
    username: Text = ""
    password: SecretStr | None = Field(default=None, max_length=4096)
    options: Annotated[
        dict[OptionName, Text | bool | int | Annotated[float, Field(allow_inf_nan=False)]], Field(max_length=128)
    ] = Field(default_factory=dict)
    nodename: Text = ""
    off_by_exit_status: bool = False
    sessions: Annotated[int, Field(ge=1, le=1024)] = 4
    secrets: Annotated[dict[OptionName, Annotated[SecretStr, Field(max_length=4096)]], Field(max_length=16)] = Field(
        default_factory=dict
    )
    credential: Text = ""
    identity: Text = ""
    cuts_power: Annotated[bool, Field(strict=True)] = False
    check_ready: Annotated[bool, Field(strict=True)] = True
    tls: Tls = Tls.DEFAULT

    @field_serializer("password", when_used="json")
    def _reveal(self, password: SecretStr | None) -> str | None:
        return None if password is None else password.get_secret_value()

    @field_serializer("secrets", when_used="json")
    def _reveal_all(self, secrets: dict[str, SecretStr]) -> dict[str, str]:
        return {name: secret.get_secret_value() for name, secret in secrets.items()}

    @classmethod
    def of(cls, spec: DeviceSpec) -> Self:
        """Convert a spec. Raises pydantic.ValidationError if it is out of bounds."""
        return cls(
            driver=spec.driver,
            plug_id=spec.plug_id,
            unit_id=spec.unit_id,
            address=spec.address,
            username=spec.username,
            password=None if spec.password is None else SecretStr(spec.password.reveal()),
            options=dict(spec.options),
            nodename=spec.nodename,
            off_by_exit_status=spec.off_by_exit_status,
            sessions=spec.sessions,
            secrets={name: SecretStr(secret.reveal()) for name, secret in spec.secrets},
            credential=spec.credential,
            identity=spec.identity,
            cuts_power=spec.cuts_power,
            check_ready=spec.check_ready,
            tls=spec.tls,
        )

    def spec(self) -> DeviceSpec:
        return DeviceSpec(
            driver=self.driver,
            plug_id=PlugId(self.plug_id),
            unit_id=UnitId(self.unit_id),
            address=self.address,
            username=self.username,
            password=None if self.password is None else Secret(self.password.get_secret_value()),
            options=self.options,
            nodename=self.nodename,
            off_by_exit_status=self.off_by_exit_status,
            sessions=self.sessions,
            secrets=tuple((name, Secret(secret.get_secret_value())) for name, secret in self.secrets.items()),
            credential=self.credential,
            identity=self.identity,
            cuts_power=self.cuts_power,
            check_ready=self.check_ready,
            tls=self.tls,
        )


class WirePermit(WireModel):
    """The right to send one power command (S5).

    `not_after` is in the proxy's clock during the run `boot`; the driver must have ended `settle` seconds before it.
    """

    token: Annotated[str, StringConstraints(pattern=TOKEN_PATTERN)]
    boot: Name
    not_after: Moment
    settle: Annotated[float, Field(ge=0, le=TIMEOUT_SECONDS_MAX, allow_inf_nan=False)] = 0.0

    @property
    def fence_token(self) -> Token:
        return Token.parse(self.token)


class Call(WireModel):
    """One act on one device. `store`: the id of the daemon's store, which issued the token. `timeout` in seconds.

    `identify`: a status also reports which machine the device belongs to. Older proxy agents ignore this, `shard`
    and `holder`."""

    id: Name
    store: Name
    device: WireDevice
    what: What
    timeout: Seconds
    permit: WirePermit | None = None
    identify: Annotated[bool, Field(strict=True)] = False
    shard: Shard = MAIN_SHARD
    holder: Holder = ""

    @model_validator(mode="after")
    def _has_permit_for_power(self) -> Self:
        if (self.what is What.STATUS) != (self.permit is None):
            raise ValueError("a power command, and only that, carries a permit")
        return self


class WireClock(WireModel):
    """The proxy's clock when it answered: seconds since its machine's boot, including suspend.

    `boot` is new with each start of the proxy agent. Readings with different `boot` are not comparable.
    """

    boot: Name
    monotonic: Moment


class WireError(WireModel):
    """A DeviceError in an answer. The text is for operators and contains no secret."""

    kind: Annotated[str, StringConstraints(max_length=64)]
    text: Annotated[str, StringConstraints(max_length=ERROR_CHARACTERS_MAX)]
    """The caller masks it again (ProxyCaller), because the other end may be another program."""
    may_be_done: bool
    is_end_known: bool

    @classmethod
    def of(cls, error: DeviceError, secrets: tuple[str, ...]) -> Self:
        """Convert an error.

        `secrets`: those of the call, which a badly written agent may have printed into the error.
        """
        return cls(
            kind=error.kind,
            text=Mask(secrets).line(str(error), characters_max=ERROR_CHARACTERS_MAX),
            may_be_done=error.may_be_done,
            is_end_known=error.is_end_known,
        )

    def error(self, proxy: str) -> DeviceError:
        """Return the error to raise at the daemon. An unknown kind becomes a plain DeviceError."""
        known = {kind.kind: kind for kind in DEVICE_ERRORS}
        return known.get(self.kind, DeviceError)(
            f"through proxy {proxy}: {self.text}", may_be_done=self.may_be_done, is_end_known=self.is_end_known
        )


class WireFloor(WireModel):
    """The lowest epoch whose commands the proxy accepts for a store and shard, and the holder of that epoch."""

    store: Name
    shard: Shard
    epoch: Epoch
    holder: Holder = ""


class Answer(WireModel):
    """The result of a call. `power`: set for a status only. `error`: None exactly if the call succeeded.

    `identities`: what the device reported of its machine, if requested; empty from older proxy agents.
    `floor`: the floor of the call's store and shard, if there is one (S21)."""

    id: Name
    outcome: Outcome
    power: Power | None = None
    error: WireError | None = None
    clock: WireClock
    identities: Annotated[tuple[Identity, ...], Field(max_length=IDENTITIES_MAX)] = ()
    floor: WireFloor | None = None


class RaiseFloor(WireModel):
    """`POST /v1/floor`: from now on accept no command of this store and shard below the epoch, nor one of the same
    epoch from another holder.

    `is_first`: the holder has sent no command to this proxy yet.
    """

    store: Name
    shard: Shard = MAIN_SHARD
    epoch: Epoch
    holder: Annotated[str, StringConstraints(pattern=HOLDER_PATTERN, min_length=1)]
    is_first: Annotated[bool, Field(strict=True)] = False


class UnderWay(WireModel):
    """A command that may still act, at the latest for so long from the answer on."""

    plug: Name
    token: Annotated[str, StringConstraints(pattern=TOKEN_PATTERN)]
    not_after_seconds: Annotated[float, Field(ge=0, le=1e12, allow_inf_nan=False)]


class FloorAnswer(WireModel):
    """The floor now: `is_raised` if it is the one of the request, which is then on disk; otherwise `why` it is not.

    `under_way`: commands of the store and shard that may still act, under any epoch; complete if `is_whole`. `since`:
    the proxy has noted all commands of later epochs, so that one of those that is not listed can't act any more.
    """

    epoch: Epoch = 0
    holder: Holder = ""
    is_raised: bool
    why: Annotated[str, StringConstraints(max_length=ERROR_CHARACTERS_MAX), AfterValidator(one_line)] = ""
    since: Epoch = 0
    under_way: Annotated[tuple[UnderWay, ...], Field(max_length=UNDER_WAY_MAX)] = ()
    is_whole: bool = False
    clock: WireClock


class InFlight(WireModel):
    """How many calls the proxy agent is carrying out."""

    reads: int
    commands: int


class WireLooking(WireModel):
    """What a proxy lets itself be asked to look at: networks and ports."""

    targets: Annotated[tuple[Annotated[Shown, StringConstraints(max_length=64)], ...], Field(max_length=LOOK_ITEMS_MAX)]
    ports: Annotated[tuple[int, ...], Field(max_length=LOOK_ITEMS_MAX)]


class Status(WireModel):
    """`GET /v1/status`. Fields added after version 1 have defaults: older proxies don't send them.

    `protocols`: supported versions. `drivers`: native drivers and the `fence_*` programs found. `store`: the store
    whose tokens the proxy accepts. `capacity`: how many programs may run at once. `floors`: of that store, or of all
    before the first command. `looking`: None if it looks at nothing. `reload_refused`: why its last reload changed
    nothing; "": it did.
    """

    name: Shown
    version: Shown
    clock: WireClock
    in_flight: InFlight
    protocols: Annotated[tuple[int, ...], Field(max_length=64)] = (PROTOCOL,)
    uptime: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    drivers: Annotated[tuple[Shown, ...], Field(max_length=DRIVERS_SHOWN_MAX)] = ()
    store: Shown = ""
    capacity: Annotated[int, Field(ge=0)] = 0
    floors: Annotated[tuple[WireFloor, ...], Field(max_length=FLOORS_SHOWN_MAX)] = ()
    looking: WireLooking | None = None
    reload_refused: Shown = ""


class Problem(WireModel):
    """RFC 9457: the call was rejected before anything started."""

    title: Text
    status: int
    detail: Text = ""
    type: Literal["about:blank"] = "about:blank"
