#!/bin/sh
# Heartbeats of an appliance that has a shell and mosquitto_pub, but no Python: beat.sh HOST [SITE [SECONDS]]
# Write how to reach the broker into $XDG_CONFIG_HOME/mosquitto_pub (chmod 600), one option a line, for example:
# -h broker.example.org, -p 8883, --cafile /etc/beat/ca.pem, -u HOST, -P SECRET. Let init start it again when it ends.
# QoS 0 on purpose: with QoS 1 mosquitto_pub keeps heartbeats while the broker is away, and then sends them all.
# It sends neither presence nor `stopping`.
host=${1:?usage: beat.sh HOST [SITE [SECONDS]]} site=${2:-site-1} every=${3:-5}
boot=$(cat /proc/sys/kernel/random/boot_id) || exit 1
expiry=$((every * 3 < 15 ? 15 : every * 3))
while read -r up _ < /proc/uptime; do # 123.45 becomes 123450 milliseconds: the number rises within a boot
    printf '{"boot":"%s","seq":%s%s0,"status":"ok","interval":%s}\n' "$boot" "${up%.*}" "${up#*.}" "$every" || exit 1
    sleep "$every"
done | mosquitto_pub -V 5 -q 0 -k 5 -i "fenced-beat-$site-$host" -l -t "fenced/v1/$site/health/$host" \
    -D publish message-expiry-interval "$expiry"
