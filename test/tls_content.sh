#!/bin/sh
# Goal: what goes in under TLS comes out, octet for octet, by 1.2 and by 1.3: pipelined groups, BDAT, many messages on a
# connection, a large one; by one who writes slowly, reads slowly, or reads not at all while others go on; and
# a message whose end never comes is none.
# shellcheck disable=SC2016
. "${TEST:-$(dirname "$0")}/lib.sh"
. "$TEST/certs"

need openssl
need_tls
self_signed mail mail.example.org
cat >tls.conf <<'E'
resolver 127.0.0.1:1
server main {
    general { listen 127.0.0.1:0 tls; listen 127.0.0.1:0; hostname mail.example.org; mailroot main }
    access { certificate mail.pem mail.key }
    messages { max-size 64M }
    domain example.org default { drop Drop }
}
E
start_server tls.conf
# by VERSION OPTION ...: octets as they are, both ways.
by() { version=$1; shift; limit 60 openssl s_client -connect "$HOST:$PORT" -quiet -ign_eof "-$version" "$@" 2>s_client.log; }
codes() { tr -d '\r' <"$1" | sed 's/^\(...\).*/\1/' | uniq -c | awk '{ printf "%s%s*%s", sep, $2, $1; sep = " " }'; }
dropped() { wait_for "[ \$(messages main/Drop | wc -l) -eq $1 ]"; }
# bodies: the messages in Drop without what stands before them, in the order of their arrival.
bodies() { for i in main/Drop/*.eml; do tr -d '\r' <"$i" | awk 'on { print } !on && /^Subject: / { print; on = 1 }'; done; }

# The large one: lines of all lengths, dots at their beginning.
awk 'BEGIN {
	print "Subject: large\r\n\r"
	for (s = "x"; length(s) < 998; ) s = s s
	for (i = 0; n < 30000000; i++) { l = i % 900; print (i % 7 ? "" : ".") substr(s, 1, l) i "\r"; n += l + 8 } }' >large
sed 's/^\./../' large >stuffed
for version in tls1_2 tls1_3; do
	rm -f main/Drop/*
	# A group of everything at once, twice over, with DATA and BDAT.
	{ printf '%s\r\n' 'EHLO c' 'MAIL FROM:<>' 'RCPT TO:<a>' 'RCPT TO:<b@nowhere.example>' DATA
	  sleep 1
	  printf '%s\r\n' 'Subject: one' '' '..dot' . 'MAIL FROM:<>' 'RCPT TO:<a>' 'BDAT 16'
	  printf 'Subject: two\r\n\r\nBDAT 0\r\nBDAT 3\r\nx\r\nBDAT 5 LAST\r\nQUIT\nMAIL FROM:<>\r\nRCPT TO:<a>\r\nBDAT 20 LAST\r\nSubject: three\r\n\r\nx\nQUIT\r\n'; } | by $version >got
	dropped 3
	is "$(codes got | sed 's/^220[*]1 250[*][0-9]* //')" '550*1 354*1 250*10 221*1' "$version: the replies"
	is "$(bodies | tr '\n' '|')" 'Subject: one||.dot|Subject: two||x|QUIT|Subject: three||x|' "$version: the messages"
	# 30 MB, by DATA and by BDAT in chunks of one megabyte.
	rm -f main/Drop/*
	{ printf '%s\r\n' 'EHLO c' 'MAIL FROM:<>' 'RCPT TO:<a>' DATA; sleep 1; cat stuffed; printf '.\r\nQUIT\r\n'; } | by $version >got
	grep -q ' queued' got || fail "$version: 30 MB: $(cat got s_client.log)"
	dropped 1
	tr -d '\r' <large >want
	bodies | cmp - want || fail "$version: 30 MB by DATA came otherwise"
	rm -f main/Drop/*
	size=$(wc -c <large | tr -d ' ')
	{ printf '%s\r\n' 'EHLO c' 'MAIL FROM:<>' 'RCPT TO:<a>' "BDAT 1000000"; dd if=large bs=1000000 count=1 2>/dev/null
	  printf 'BDAT %d LAST\r\n' $((size - 1000000)); dd if=large bs=1000000 skip=1 2>/dev/null; printf 'QUIT\r\n'; } | by $version >got
	grep -q ' queued' got || fail "$version: BDAT of 30 MB: $(cat got s_client.log)"
	dropped 1
	bodies | cmp - want || fail "$version: 30 MB by BDAT came otherwise"
	rm -f main/Drop/*

	# One who writes an octet at a time, each a record of its own; by STARTTLS.
	{ printf '%s\r\n' 'EHLO c' 'MAIL FROM:<>' 'RCPT TO:<a>' DATA; sleep 1
	  for octet in S u b j e c t : ' ' s '\r' '\n' '\r' '\n' . . '\r' '\n' . '\r' '\n' Q U I T '\r' '\n'; do
		printf "$octet"; sleep 0.02 2>/dev/null || sleep 1
	  done; } | by $version >got
	dropped 1
	is "$(bodies | tr '\n' '|')" 'Subject: s||.|' "$version: octet by octet"
	rm -f main/Drop/*

	# One who asks for more than 10 MB of answers and reads none of them for a while; others go on; then all of them come.
	mkfifo deaf.$version
	{ awk 'BEGIN { for (; i++ < 50000;) print "HELP\r"; print "QUIT\r" }'; } | by $version >deaf.$version & deaf=$!
	exec 8<deaf.$version
	sleep 1
	printf '%s\r\n' 'EHLO c' 'MAIL FROM:<>' 'RCPT TO:<a>' 'BDAT 14 LAST' 'Subject: beside' QUIT | by $version >got
	grep -q '^220' got || fail "$version: beside one who does not read: $(cat got)"
	tr -d '\r' <&8 | tail -n 1 >last
	exec 8<&-
	wait $deaf
	is "$(cat last)" '221 2.0.0 mail.example.org closing the channel' "$version: who reads late"
	rm -f main/Drop/*

	# Cut off within a message: by the end of TLS, and by the end of the connection.
	printf '%s\r\n' 'EHLO c' 'MAIL FROM:<>' 'RCPT TO:<a>' DATA 'Subject: cut' '' text |
		limit 20 openssl s_client -connect "$HOST:$PORT" -quiet -no_ign_eof "-$version" >got 2>&1
	mkfifo cut
	openssl s_client -connect "$HOST:$PORT" -quiet "-$version" <cut >cut.out 2>&1 & cut=$!
	exec 8>cut
	printf '%s\r\n' 'EHLO c' 'MAIL FROM:<>' 'RCPT TO:<a>' DATA 'Subject: cut' '' text >&8
	wait_for 'grep -q "^354" cut.out'
	wait_for 'messages main/SortTemp | grep -q .'
	kill -KILL $cut
	wait $cut 2>/dev/null
	exec 8>&-; rm cut
	wait_for '[ -z "$(messages main/SortTemp)" ]'
	is "$(messages main/Queue)$(messages main/Drop)" '' "$version: mail that was cut off"
done
stop_server
ok
