#!/bin/sh
# Goal: it does not matter in which pieces the octets of a client arrive, whole, one by one, or cut in two at any place.
. "${TEST:-$(dirname "$0")}/lib.sh"

start_server
own_nc
id='s/[0-9]\{8\}T[0-9]\{6\}-[0-9]*-[0-9a-f]*/ID/'

# Every end of a line before and behind a dot, each in a message of its own; then the same octets in a chunk. Four clients
# share them, each with a sender of its own.
text() {	# SENDER BEFORE
	begin="MAIL FROM:<$1>\r\nRCPT TO:<a>\r\n"
	printf 'EHLO x\r\n'
	for after in '\r\n' '\n' '\r' '\r\r\n'; do
		printf "${begin}DATA\r\n"
		printf "a$2.$after"
		case $2.$after in
		*'\r\n.\r\n')   ;;
		*)              printf 'b\r\n..\r\n.\r\n' ;;
		esac
		printf "${begin}BDAT 1\r\n.BDAT 18 LAST\r\n"
		printf "a$2.$after.\r\n.\r\nRSET\r\n........" | dd bs=1 count=18 2>/dev/null
	done
	printf "${begin}DATA\nline\n.\r\n.\n\r\n.\r\nHAIL\r\nNOOP\nRSET\r\nHELP\r\nQUIT\r\n"
}
text 1 '\r\n' >wire.1
text 2 '\n' >wire.2
text 3 '\r' >wire.3
text 4 '\r\r\n' >wire.4
clients() {	# HOW COMMAND: what they hear is in HOW.1 to HOW.4, and what they sent in HOW.mail
	jobs=''
	for i in 1 2 3 4; do $2 <wire.$i >"$1.$i" & jobs="$jobs $!"; done
	wait $jobs
	for i in 1 2 3 4; do
		is "$(grep -c '^250 2.6.0' "$1.$i")" 9 "messages accepted from client $i"
		is "$(tail -n 1 "$1.$i" | tr -d '\r')" '221 2.0.0 mail.example.org closing the channel' "the end of client $i"
	done
	wait_for '[ "$(messages plain/Drop | wc -l)" -eq 36 ]'
	for i in 1 2 3 4; do
		for j in $(grep -l "^x-sender: $i@" plain/Drop/*); do
			sed "$id; s/^	[A-Z][a-z][a-z], .*/	DATE/" "$j"
			echo ===
		done
		sed "$id" "$1.$i"
	done >"$1.all"
	rm plain/Drop/*
}
each() { limit ${LIMIT:-30} "$own" -b "$HOST" "$PORT"; }
clients whole talk
clients pieces each
cmp -s whole.all pieces.all || { diff whole.all pieces.all >&2; fail 'it makes a difference when it comes octet by octet'; }

# Cut in two at every place. Some connections side by side share the places; the pause lets the first part be read.
begin='MAIL FROM:<smith@example.com>\r\nRCPT TO:<jones@example.org>\r\n'
printf "${begin}DATA\r\nX: y\r\n\r\n.\n..\r\n.\r\r\na\r\n.\r\n${begin}BDAT 8\r\n\r\n.\r\n\r\n\rBDAT 2 LAST\r\n\nz" >wire
printf '%s\n' '250 2.1.0 *' '250 2.1.5 *' '354 *' '250 2.6.0 *' '250 2.1.0 *' '250 2.1.5 *' '250 2.0.0 8 *' '250 2.6.0 *' >want
length=$(wc -c <wire | tr -d ' ') workers=16
pause() { sleep 0.03 2>/dev/null || sleep 1; }
worker() {
	at=$1
	printf 'EHLO client.example\r\n'
	while [ "$at" -lt "$length" ]; do
		dd bs=1 count="$at" 2>/dev/null <wire
		pause
		tail -c +$((at + 1)) wire
		at=$((at + workers))
	done
	printf 'QUIT\r\n'
}
jobs='' i=1
while [ $i -le $workers ]; do
	worker $i | LIMIT=100 talk >"got.$i" & jobs="$jobs $!"
	i=$((i + 1))
done
wait $jobs
i=1
while [ $i -le $workers ]; do
	tr -d '\r' <"got.$i" | sed '1,/^250 HELP/d; /^221 /,$d' | awk -v want=want '
		BEGIN { while ((getline line < want) > 0) { sub(/\*$/, "", line); expect[n++] = line } }
		index($0, expect[(NR - 1) % n]) != 1 { print; bad = 1; exit 1 }
		END { exit bad || NR % n || !NR }' >&2 || fail "worker $i was answered otherwise (place $i, or $workers more, ...)"
	i=$((i + 1))
done
is "$(cat got.* | grep -c '^250 2.6.0')" $(((length - 1) * 2)) 'messages accepted'
poll "[ \$(messages plain/Drop | wc -l) = $(((length - 1) * 2)) ]"
awk '
	FNR == 1 { if (NR > 1) print text; text = ""; content = 0 }
	content { text = text $0 "|" }
	/^	[A-Z][a-z][a-z], / { content = 1 }
	END { print text }' plain/Drop/* | sort | uniq -c >got
is "$(awk '{ print $1 }' got | tr '\n' ' ')" "$((length - 1)) $((length - 1)) " 'how often each of the two messages is there'
ok
