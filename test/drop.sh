#!/bin/sh
# drop: two servers deliver each into its own folder; one that is full, or cannot be written, is answered as such and
# tried again when its time has come, and the time stands in the file. Nothing is lost on the way.
. "${TEST:-$(dirname "$0")}/lib.sh"
case ${SMTPD##*/} in smtpd-test*) ;; *) skip 'test/smtpd-test is not built' ;; esac

cat >conf <<'E'
resolver 127.0.0.1:1
server small {
	general { listen 127.0.0.1:0; hostname mail.here.example; mailroot a }
	delivery { local-retry 1h }
	domain here.example default { drop Deliveries; quota 3000 }
}
server large {
	general { listen 127.0.0.1:0; hostname mail.here.example; mailroot b }
	delivery { local-retry 2h }
	domain here.example default
}
E
CLOCK_FILE=$T/clock; export CLOCK_FILE
ahead=0
# Some seconds pass; then a client comes, and the server has to look.
later() { ahead=$((ahead + $1)); echo $ahead >clock.new; mv clock.new clock; printf '%s\n' 'EHLO x' QUIT | say >/dev/null; }

# letter NAME: sent to $PORT; the answers to RCPT and to the message.
letter() {
	printf '%s\n' 'EHLO x' 'MAIL FROM:<a@here.example>' 'RCPT TO:<b@here.example>' DATA "Subject: $1" '' "this is $1" . QUIT |
		say | awk '/^[24]5[0-9] [24]\.[1-4]\.[1-9] <b@/ || /^250 2\.6\.0/ { print $1 " " $2 }' | tr '\n' ' '
}
# What lies in that folder.
has() { find "$1" -name '*.eml' -exec cat {} + | tr -d '\r' | sed -n 's/^this is //p' | sort | tr '\n' ' '; }
both='250 2.1.5 250 2.6.0 '

start_server conf
use large; large=$PORT
use small; small=$PORT

# --- one each ---

is "$(letter one)" "$both"
PORT=$large
is "$(letter two)" "$both"
wait_for '[ "$(has a/Deliveries)$(has b/Drop)" = "one two " ]'
[ ! -e a/Drop ] || fail 'a folder was made that nobody asked for'
ok 'two servers, two mailroots'

# --- a quota ---

PORT=$small
awk 'BEGIN { for (i = 0; i < 2500; i++) printf "x" }' >a/Deliveries/somebody.else
later 20                                        # it counts what is in the folder every now and then
is "$(letter three)" "$both" 'there is room for a recipient, but not for his mail'
wait_for 'grep -q "deferred .*over its quota" server.log'
is "$(has a/Deliveries):$(has a/Queue)" 'one :three '
awk 'BEGIN { for (i = 0; i < 600; i++) printf "x" }' >>a/Deliveries/somebody.else
later 20
is "$(letter four)" '452 4.2.2 ' 'the folder is full'
PORT=$large
is "$(letter five)" "$both" 'the other server has no quota'
rm a/Deliveries/somebody.else
PORT=$small
later 20
is "$(letter six)" "$both"
wait_for '[ "$(has a/Deliveries)" = "one six " ]'
later 3300
is "$(has a/Queue)" 'three ' 'it is not tried before its time'
later 400
wait_for '[ "$(has a/Deliveries):$(has a/Queue)" = "one six three :" ]'
ok 'a quota'

# --- a folder that cannot be written ---

PORT=$large
wait_for '[ "$(has b/Drop)" = "five two " ]'
mv b/Drop b/away
: >b/Drop
is "$(letter seven)" "$both"
wait_for 'grep -q "deferred seconds=7200 .*Not a directory" server.log'
is "$(has b/Queue)" 'seven '
later 7300
wait_for '[ "$(grep -c "deferred seconds=7200 .*Not a directory" server.log)" = 2 ]'
is "$(has b/Queue)" 'seven '
rm b/Drop
mv b/away b/Drop
if [ "$(id -u)" != 0 ]; then
	chmod 500 b/Drop
	later 7300
	wait_for 'grep -q "deferred seconds=7200 .*Permission denied" server.log'
	chmod 700 b/Drop
fi
later 7100
is "$(has b/Queue)" 'seven ' 'it is not tried before its time'
later 200
wait_for '[ "$(has b/Drop):$(has b/Queue)" = "five seven two :" ]'
ok 'an unwritable folder'

# --- the time is that of the file ---

mv b/Drop b/away
: >b/Drop
is "$(letter eight)$(letter nine)" "$both$both"
wait_for '[ "$(grep -c deferred.*directory server.log)" -ge 4 ]'
stop_server
touch now
is "$(find b/Queue -name '*.eml' -newer now | wc -l | tr -d ' ')" 2
rm b/Drop
mv b/away b/Drop
touch $(grep -l 'this is nine' b/Queue/*)       # one is due now
later() { ahead=$((ahead + $1)); echo $ahead >clock; }
later 7100
start_server conf
wait_for '[ "$(has b/Drop):$(has b/Queue)" = "five nine seven two :eight " ]'
stop_server
later 200
start_server conf
wait_for '[ "$(has b/Drop):$(has b/Queue)" = "eight five nine seven two :" ]'
stop_server
is "$(has a/Deliveries)" 'one six three '
ok 'the schedule survives'
