#!/bin/sh
# Goal: what TLS costs is bounded: thousands of sessions leave no memory behind, and an idle one costs less than 25 KB.
# SESSIONS (1,000, and 10,000 once in CI) come in two halves, after some to warm up; IDLE (500) stay.
# shellcheck disable=SC2016,SC2154
. "${TEST:-$(dirname "$0")}/lib.sh"
. "$TEST/certs"

need openssl
need_tls
[ -r "/proc/$$/status" ] || skip 'there is no /proc to measure by'
tools load
"$load" -T -E -n 1 -p 1 2>&1 | grep -q 'without OpenSSL' && skip 'test/load was built without OpenSSL'
: "${SESSIONS:=1000}"
: "${IDLE:=500}"
self_signed mail mail.example.org
cat >tls.conf <<'E'
resolver 127.0.0.1:1
server main {
    general { listen 127.0.0.1:0; hostname mail.example.org; mailroot main; connections 6000 }
    access { certificate mail.pem mail.key }
    domain example.org default
}
E
start_server tls.conf
pid=$(cat server.pid)
memory() { sed -n 's/^VmRSS:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$pid/status"; }
files() { ls "/proc/$pid/fd" | wc -l; }
sessions() { limit 100 "$load" -p "$PORT" -T -E -c 20 -n "$1" -w 90 >figures || fail "not all sessions went well: $(cat figures)"; }

sessions 400
warm=$(memory) open=$(files)
sessions $((SESSIONS / 2)); half=$(memory)
sessions $((SESSIONS / 2)); all=$(memory)
is "$(files)" "$open" 'open files'
# Sanitizers keep what is freed for a while.
if "$SMTPD" -V >/dev/null && ! nm "$SMTPD" 2>/dev/null | grep -q __asan_init; then
	[ $((all - half)) -lt 300 ] && [ $((all - warm)) -lt 1000 ] || fail "KiB after $SESSIONS sessions: $warm, $half, $all"
fi
"$load" -p "$PORT" -T -i "$IDLE" -w 60 >idle.out & job=$!
wait_for 'grep -q "^idle=" idle.out'
is "$(cat idle.out)" "idle=$IDLE" 'idle sessions'
# The last handshakes are over when the client says so, and then we are as idle as it is.
each=$(( ($(memory) - all) * 1024 / IDLE ))
kill $job; wait $job 2>/dev/null
if ! nm "$SMTPD" 2>/dev/null | grep -q __asan_init; then
	[ $each -lt 25600 ] || fail "an idle one takes $each octets"
fi
wait_for '[ "$(files)" = "$open" ]'
stop_server
ok "$SESSIONS sessions: $warm KiB before, $all after; $each octets for an idle one"
