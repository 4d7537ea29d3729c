"""The script that installs the broker's files on another machine, where no program of fenced is.

Before it writes anything it looks for lines of other files that do not go with its own, as `broker.conflicts` does on
this machine. It keeps a file that a person edited since the last run. It restarts the broker only where a reload does
not do.
"""

from typing import Final

from fenced.setup import broker

_CHECK: Final = f"""\
getent group {broker.GROUP} >/dev/null || {{ echo "install mosquitto first" >&2; exit 1; }}

# Other files of the broker whose lines do not go with ours: say so, and write nothing.
found=$(
    for file in {broker.FOLDER}/mosquitto.conf {broker.CONFIGURATION.parent}/*.conf; do
        if [ ! -f "$file" ] || [ "$file" = {broker.CONFIGURATION} ]; then continue; fi
        awk -v file="$file" '
            $1 ~ /^({"|".join(broker.ONCE)})$/ {{ why = "fenced.conf sets " $1 ", and the last file decides for all" }}
            $1 ~ /^(listener|port)$/ && $2 == {broker.PORT} {{ why = "port {broker.PORT} is taken by this listener" }}
            $1 ~ /^(plugin|auth_plugin)$/ {{ why = "a plugin may let in clients that fenced.passwd refuses" }}
            $1 == "per_listener_settings" && $2 == "true" {{ why = "then accounts apply to one listener each" }}
            why {{ sub(/^[ \\t]+/, ""); printf "%s:%d: `%s`: %s\\n", file, NR, $0, why; why = "" }}
        ' "$file"
    done
)
if [ ! -e {broker.CONFIGURATION} ] && command -v ss >/dev/null && [ -n "$(ss -Hltn "sport = :{broker.PORT}")" ]; then
    found="$found
another program listens on port {broker.PORT} (ss -ltnp shows which)"
fi
if [ -n "$found" ]; then
    echo "nothing was written: remove these lines, or merge them with the files here by hand, then run this again:" >&2
    echo "$found" >&2
    exit 1
fi
"""
_PUT: Final = f"""\
# What was installed is noted, so that the next run finds what a person has edited since, and keeps it.
noted={broker.FOLDER}/fenced.installed
step=none
put() {{  # put FROM TO MODE GROUP STEP: install a file if it differs; STEP is what the broker needs then
    if cmp -s "$1" "$2"; then return 0; fi
    install -D -m "$3" -g "$4" "$1" "$2"
    if [ "$5" = restart ] || [ "$step" = none ]; then step=$5; fi
}}
follow() {{  # the same for a file that a person may have edited
    if [ -e "$2" ] && ! cmp -s "$1" "$2" && ! {{ [ -e $noted ] && sha256sum "$2" | grep -qxFf - $noted; }}; then
        echo "$2 was edited and stays; compare it with $PWD/$1" >&2
    else
        put "$@"
        sha256sum "$2" >>$noted.new
    fi
}}
rm -f $noted.new
put ca.crt {broker.AUTHORITY} 644 root restart
put broker.key {broker.KEY} 640 {broker.GROUP} reload
put broker.crt {broker.CERTIFICATE} 644 root reload
put passwd {broker.PASSWORDS} 640 {broker.GROUP} reload
follow acl {broker.ACCESS} 640 {broker.GROUP} reload
follow fenced.conf {broker.CONFIGURATION} 644 root restart
follow drop-in.conf {broker.DROP_IN} 644 root restart
if [ -e $noted.new ]; then mv $noted.new $noted; fi

systemctl daemon-reload
if [ $step = restart ] || ! systemctl is-active --quiet mosquitto; then
    systemctl restart mosquitto
    echo "the broker was restarted and listens on port {broker.PORT}"
elif [ $step = reload ]; then
    systemctl reload mosquitto
    echo "the broker was reloaded: new accounts and certificates are in use, and connections stay"
else
    echo "everything is installed already"
fi
"""


def script() -> str:
    """Return the body of the script; it runs as root, in the folder of the archive."""
    return f"{_CHECK}\n{_PUT}"
