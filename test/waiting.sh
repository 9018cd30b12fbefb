#!/bin/sh
# waiting: many messages that wait cost little. The server is up at once with 20,000 files in Queue, opens none before its
# time, and has less than 100 octets of memory for each, whether it waits for its time or for a destination that is dead.
# shellcheck disable=SC2010,SC2012,SC2154
. "${TEST:-$(dirname "$0")}/lib.sh"
grep -q '^VmRSS:' /proc/self/status 2>/dev/null || skip 'there is no VmRSS in /proc'
! grep -q __asan_init "$SMTPD" || { ok 'a sanitizer has memory of its own: not measured'; exit 0; }

cat >conf <<'E'
resolver 127.0.0.1:1
server s {
    general { listen 127.0.0.1:0; hostname mail.here.example; mailroot m }
    access { relay only 127.0.0.1 }
    delivery { smart-host [127.0.0.1]:1; notify unlimited; retry 12h; glitch-retry 12h 1 }
    domain here.example default
}
E
# 20,000 files, of which each hundredth is torn, with a time to come.
letters() {
	awk -v day="$(date -u +%Y%m%d)" 'BEGIN {
		while (++i <= 20000) {
			file = sprintf("m/Queue/%sT000000-%05d-0badcafe.eml", day, i)
			printf "x-sender: s@here.example\r\nx-receiver: u%d@far%d.example\r\n%s", i, i,
			    i % 100 ? "Return-Path: <s@here.example>\r\nSubject: x\r\n\r\nx\r\n" : "" >file
			close(file)
		}
	}'
	find m/Queue -name '*.eml' -exec touch -t 203712312359 {} +
}
memory() { awk '/^VmRSS:/ { print $2 }' "/proc/$(cat server.pid)/status"; }
ticks() { awk '{ print $14 + $15 }' "/proc/$(cat server.pid)/stat"; }		# of which a second has 100
queue() { ls m/Queue | grep -c 'eml$'; }
# enough BEFORE WHAT: 1950 KiB are 100 octets for each of 20,000.
enough() {
	grown=$(($(memory) - $1))
	[ $grown -lt 1950 ] || fail "20,000 messages that wait for $2 take $grown KiB"
	ok "waiting for $2: $grown KiB"
}

start_server conf
few=$(memory)
stop_server
letters
start_server conf
[ "$(ticks)" -lt 100 ] || fail "it took $(ticks) ticks of the processor until it was up"
sleep 1
is "$(queue)" 20000 'opened before its time'
enough "$few" 'their time'
kill -s USR1 "$(cat server.pid)"
wait_for '[ "$(queue)" = 19800 ] && grep -q -- "- destination=.* waiting=[0-9]" server.log' 60
enough "$few" 'a destination'
stop_server
