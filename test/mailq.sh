#!/bin/sh
# mailq: what waits in the queues, in the form that Postfix gave it and as JSON; with the server running or not, whatever
# lies there, and nothing is changed by looking.
. "${TEST:-$(dirname "$0")}/lib.sh"

cat >conf <<E
resolver 127.0.0.1:1
server first {
	general { listen 127.0.0.1:0; hostname mail.here.example; mailroot $T/first }
	access { relay only 127.0.0.0/8 }
	domain here.example default
	domain held.example remote { hold yes }
}
server "second \\"one\\"" {
	general { listen 127.0.0.1:0; hostname mail.here.example; mailroot $T/second }
	domain here.example default
}
E
SMTPD_CONF=$T/conf TZ=UTC0; export SMTPD_CONF TZ
ln -s "$SMTPD" mailq
ln -s "$SMTPD" sendmail
mailq() { limit 10 ${WRAP-} ./mailq "$@" 2>&1 || echo "status $?"; }

# --- by hand: no server has ever been here ---

is "$(mailq)" "mailq: $T/first/Queue: No such file or directory
mailq: $T/second/Queue: No such file or directory
status 66"
mkdir -p first/Queue second/Queue
is "$(mailq)" 'Mail queue is empty'
is "$(mailq -v)" ''

# put FOLDER ID TOUCH: a file from standard input, its lines in CR LF.
put() { awk '{ printf "%s\r\n", $0 }' >"$1/$2.eml"; touch -t "$3" "$1/$2.eml"; }
a=20260102T030405-00007-0000000a b=20260102T030405-00007-0000000b c=20251112T130405-00000-00000000 d=20260102T030406-00000-00000000
put first/Queue $b 203001010000 <<'E'
x-sender: joe@here.example
x-sender-args: RET=HDRS
x-receiver: one@far.example
x-accepted: done@far.example
x-receiver: two@far.example
x-notified: three@far.example
x-rejected: lost@far.example
x-receiver: four@else.example
Return-Path: <joe@here.example>
Subject: s

1234567
E
cat >first/Queue/$b.txt <<'E'
<one@far.example>
    451 4.7.1 come again
<two@far.example>
    451 4.7.1 come again
<three@far.example>
    450 4.2.1 "busy" \ 
<lost@far.example>
    550 no

Last attempt:  Fri, 2 Jan 2026 03:04:06 +0000

<four@else.example>
    this is the conversation
E
awk 'BEGIN { for (i = 0; i < 500; i++) print "1234567" }' | { printf 'x-sender: <>\nx-receiver: \303\244@far.example\nReturn-Path: <>\n\n'
	cat; } | put first/Queue $c 202601010000
printf '4.4.1 nobody is\033[31m there\n\nLast attempt:  x\n' >first/Queue/$c.txt
printf 'x-sender: a@b\nx-receiver: bad\201@far.example\nReturn-Path: <a@b>\n' | put second/Queue $a 202601010000
printf 'x-sender: a@b\nx-receiver: c@d\n' | put second/Queue $d 202601010000
printf 'x-sender: a@b.example\nx-receiver: c@d.example\nReturn-Path: <a@b.example>\n\nhello\n' | put second/Queue 20250101T000000-00000-00000000 202601010000
mv second/Queue/20250101T000000-00000-00000000.eml second/Queue/20250101T000000-00000-00000000.held
# Strangers.
echo no >first/Queue/README; echo no >first/Queue/.hidden; echo no >first/Queue/$a.txt; mkdir first/Queue/folder.eml
mkfifo "first/Queue/20270102T030405-00000-00000000.eml"
ls -lAR first second >before

cat >want <<E
-Queue ID-  --Size-- ----Arrival Time---- -Sender/Recipient-------
$c    4502 Wed Nov 12 13:04:05  MAILER-DAEMON
                                               (4.4.1 nobody is\\x1b[31m there)
                                         \\xc3\\xa4@far.example

$b      23 Fri Jan  2 03:04:05  joe@here.example
                                                        (451 4.7.1 come again)
                                         one@far.example
                                         two@far.example
                                                (450 4.2.1 \\x22busy\\x22 \\x5c )
                                         three@far.example
                                                          (reason unavailable)
                                         four@else.example

20270102T030405-00000-00000000       0 Sat Jan  2 03:04:05  ?
                                                       (it is no regular file)

$a      65 Fri Jan  2 03:04:05  ?
                          (a line of the envelope has an address that is none)

$d      32 Fri Jan  2 03:04:06  ?
                               (its envelope ends too early; the file is torn)

20250101T000000-00000-00000000!       9 Wed Jan  1 00:00:00  a@b.example
                                         c@d.example

-- 4 Kbytes in 6 Requests.
E
mailq >got
is "$(cat got)" "$(cat want)"
is "$(./sendmail -bp)" "$(cat want)"
is "$(ls -lAR first second)" "$(cat before)" 'looking has changed something'
cat >want <<E
{"server": "first", "queue_name": "deferred", "queue_id": "$c", "arrival_time": 1762952645, "message_size": 4502, "next_attempt": 1767225600, "sender": "", "recipients": [{"address": "ä@far.example", "delay_reason": "4.4.1 nobody is\\u001b[31m there"}]}
{"server": "first", "queue_name": "deferred", "queue_id": "$b", "arrival_time": 1767323045, "message_size": 23, "next_attempt": 1893456000, "sender": "joe@here.example", "recipients": [{"address": "one@far.example", "delay_reason": "451 4.7.1 come again"}, {"address": "two@far.example", "delay_reason": "451 4.7.1 come again"}, {"address": "three@far.example", "delay_reason": "450 4.2.1 \\"busy\\" \\\\ "}, {"address": "four@else.example"}]}
E
mailq -v >got
is "$(sed 2q got)" "$(cat want)"
like "$(sed -n 4p got)" '{"server": "second \\"one\\"", *"error": "a line of the envelope *", "recipients": \[\]}'
like "$(sed -n 6p got)" '*"queue_name": "hold", *'
is "$(grep -c . got)" 6
if command -v python3 >/dev/null; then
	python3 -c 'import json, sys; [json.loads(line) for line in sys.stdin.buffer]' <got || fail 'that is no JSON'
fi
rm -r second/Queue/* first/Queue/*
if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null && setpriv --reuid 23456 --regid 23456 --clear-groups test -x "$SMTPD" 2>/dev/null; then
	chmod 755 .; chmod 0750 first/Queue
	is "$(setpriv --reuid 23456 --regid 23456 --clear-groups "$T/mailq" 2>&1; echo $?)" "mailq: $T/first/Queue: Permission denied
77" 'a stranger'
fi

# --- a server, which could not pass something on; while it runs, and after ---

start_server conf
printf 'To: a@here.example, b@far.example\n\nhello\n' | ./sendmail -t -f joe || fail $?
wait_for 'ls first/Queue | grep txt >/dev/null'
for i in running not; do
	like "$(mailq | tr '\n' '/')" "-Queue ID-  *-/* * joe@here.example/ *(4.4.3 *)/ *b@far.example//-- 0 Kbytes in 1 Request./" "$i"
	is "$(mailq -v | grep -c '"queue_name": "deferred".*"sender": "joe@here.example".*{"address": "b@far.example", "delay_reason": "4.4.3 ')" 1
	[ $i = not ] || {
		# On its way, as far as the folder tells: what is due, but not what waits for its host.
		put first/Queue $a 202601010000 <<-'E'
		x-sender: a@b.example
		x-receiver: c@d.example
		Return-Path: <a@b.example>

		hello
		E
		sed 's/c@d/c@held/' first/Queue/$a.eml >first/Queue/$d.eml; touch -t 202601010000 first/Queue/$d.eml
		is "$(mailq | grep -c "^$a\*.* a@b.example$") $(mailq | grep -c "^$d .* a@b.example$")" '1 1' 'marks'
		is "$(mailq -v | grep -c '"queue_name": "active".*c@d.example')" 1 'active'
		rm first/Queue/$a.eml first/Queue/$d.eml
		stop_server
	}
done
