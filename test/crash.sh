#!/bin/sh
# crash: 250 means it is on disk. CRASH_MESSAGES (2000) messages are sent by 50 sessions at once, while the server is
# killed three times and started again. Whatever was answered with 250 must then be there, whole, and once: there may
# be more only of what was sent when a connection died between the final dot and its reply (test/bulk tells both).
# shellcheck disable=SC2012,SC2016,SC2154
. "${TEST:-$(dirname "$0")}/lib.sh"
messages=${CRASH_MESSAGES:-2000}

tools bulk

# The port stays the same, so it must be one that the system gives to nobody while the server is down: lower than those
# that it picks by itself.
own_nc
port=$((5000 + $$ % 5000))
while limit 5 "$own" "$HOST" $port </dev/null >/dev/null 2>&1; do port=$((port + 1)); done
cat >crash.conf <<-END
	server crash {
	    general { listen $HOST:$port; hostname mail.example.org; mailroot root; connections 1000 }
	    domain example.org default { drop Drop }
	}
END

# What was promised so far must be in Drop or in Queue at this moment, while nobody is there to mend anything.
audit() {
	grep '^promised' client.log >now.promised
	subjects root/Drop root/Queue >now.there
	awk 'FILENAME == "now.there" { there[$1]; next } !($2 in there) { print $2 }' now.there now.promised >now.lost
	[ ! -s now.lost ] || fail "after $1: $(wc -l <now.lost) messages are lost, among them $(sed 1q now.lost)"
}

start_server crash.conf
awk -v n="$messages" 'BEGIN { while (i++ < n) print i, "a@client.test", "u@example.org" }' >list
spawn client $SH -c 'exec "$@" <list' client "$bulk" -c 50 $port
for kill in 1 2 3; do
	wait_for "[ -e client.rc ] || [ \$(wc -l <client.log) -ge $((messages * kill / 4)) ]" 100
	[ ! -e client.rc ] || fail "the client had ended before kill $kill"
	kill_server
	audit "kill $kill"
	start_server crash.conf
done
wait_for '[ -e client.rc ]' 100
end client TERM 1
[ "$rc" = 0 ] || fail 'the client got a reply that does not belong'
wait_for '[ -z "$(ls root/Queue)" ]'
stop_server
audit 'the end'

for folder in Pickup SortTemp Queue Badmail; do
	is "$(ls root/$folder)" '' "something is left in $folder"
done
is "$(wc -l <now.promised)" "$messages" 'promises'
is "$(sort now.there | uniq -d)" '' 'a message is there twice'
awk 'FILENAME == "client.log" { sent[$2]; next } !($1 in sent)' client.log now.there >odd
is "$(cat odd)" '' 'nobody was told of these'
is "$(torn root/Drop | sed 5q)" '' 'files in Drop are not whole'

ok "$messages messages, 3 kills, $(grep -c '^doubtful' client.log) times in doubt, $(ls root/Drop | wc -l) files in Drop"
