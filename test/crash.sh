#!/bin/sh
# crash: 250 means it is on disk. CRASH_MESSAGES (2000) messages are sent by 50 sessions at once, while the server is
# killed three times and started again. Whatever was answered with 250 must then be there, whole, and once: there may
# be a copy more only for each time that a connection died between the final dot and its reply (test/sender notes both).
# shellcheck disable=SC2012,SC2016,SC2154
. "${TEST:-$(dirname "$0")}/lib.sh"
messages=${CRASH_MESSAGES:-2000} sessions=50

sender=$TEST/sender
[ -x "$sender" ] || {
	need "${CC:-cc}"
	sender=$T/sender
	"${CC:-cc}" -std=c99 -o "$sender" "$TEST/sender.c" || fail 'test/sender.c does not compile'
}

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

# subjects FOLDER ...: the number of each message in there, as the file's own subject has it.
subjects() {
	for folder; do
		find "root/$folder" -type f -name '*.eml' -exec awk '
			FNR == 1 { head = 1 } head && sub(/^Subject: /, "") { print $1 + 0; head = 0 }' {} +
	done
}

# What was promised so far must be in Drop or in Queue at this moment, while nobody is there to mend anything.
audit() {
	cp promised now.promised
	subjects Drop Queue >now.there
	awk 'FILENAME == "now.there" { there[$1]; next } !($1 in there)' now.there now.promised >now.lost
	[ ! -s now.lost ] || fail "after $1: $(wc -l <now.lost) messages are lost, among them $(sed 1q now.lost)"
}

start_server crash.conf
spawn sender "$sender" $port "$messages" $sessions
for kill in 1 2 3; do
	wait_for "[ -e sender.rc ] || [ \$(wc -l <promised) -ge $((messages * kill / 4)) ]" 100
	[ ! -e sender.rc ] || fail "the sender had ended before kill $kill"
	kill_server
	audit "kill $kill"
	start_server crash.conf
done
wait_for '[ -e sender.rc ]' 100
end sender TERM 1
[ "$rc" = 0 ] || fail 'the sender got a reply that does not belong'
wait_for '[ -z "$(ls root/Queue)" ]'
stop_server
audit 'the end'

for folder in Pickup SortTemp Queue Badmail; do
	is "$(ls root/$folder)" '' "something is left in $folder"
done
is "$(sort -n promised | uniq | wc -l)" "$messages" 'not all numbers were promised'
is "$(sort -n promised | uniq -d)" '' 'a number was promised twice'

# Copies: one, and one more for each doubt.
subjects Drop | awk -v file=doubtful '
	BEGIN { while ((getline number < file) > 0) most[number]++ }
	{ if (++copies[$1] > most[$1] + 1) print $1 }' >doubled
[ ! -s doubled ] || fail "$(wc -l <doubled) messages are in Drop too often, among them $(sed 1q doubled)"

# Whole: every line is there in its order, and nothing else.
find root/Drop -type f -exec awk '
	function bad(why) { print FILENAME ": line " FNR ": " why; over = 1 }
	function whole() { if (name != "" && line != lines) print name ": it ends after line " line + 0 " of " lines + 0 }
	FNR == 1 { if (!over) whole(); name = FILENAME; over = line = lines = number = 0 }
	over { next }
	!sub(/\r$/, "") { bad("no CR before its LF"); next }
	FNR == 1 && $0 != "x-sender: a@client.test" ||
	FNR == 2 && $0 != "x-receiver: u@example.org" ||
	FNR == 3 && $0 != "Return-Path: <a@client.test>" ||
	FNR == 4 && !/^Received: / { bad("it does not belong there: " $0); next }
	/^Subject: / { number = $2; lines = number % 10 ? 20 : 1500; next }
	number && $0 == "" { if (line) bad("it is empty"); next }
	number && $0 != number ": line " ++line " of " lines { bad("it is: " $0) }
	END { if (!over) whole() }' {} + >torn
[ ! -s torn ] || { sed 5q torn >&2; fail 'files in Drop are not whole'; }

ok "$messages messages, 3 kills, $(wc -l <doubtful) times in doubt, $(ls root/Drop | wc -l) files in Drop"
