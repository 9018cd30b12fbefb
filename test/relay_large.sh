#!/bin/sh
# relay_large: a message much larger than any buffer goes on at the speed of the network, with others behind it, and is
# whole at the end. And the end of the server, with a client connected and mail on its way, is in order.
. "${TEST:-$(dirname "$0")}/lib.sh"

cat >b.conf <<'E'
server b {
    general { listen 127.0.0.1:0; hostname b.example; mailroot b }
    domain b.example default
}
E
SERVER=b
start_server b.conf
hop=$PORT SERVER=server
cat >conf <<E
resolver 127.0.0.1:1
server a {
    general { listen 127.0.0.1:0; hostname a.example; mailroot a }
    access { relay only 127.0.0.1 }
    delivery { smart-host [127.0.0.1]:$hop }
    domain a.example default
}
E
start_server conf

awk 'BEGIN {
	print "From: s@a.example\nTo: u@b.example\nSubject: large\n"
	for (i = 0; i < 50000; i++) printf ".%d %060d\n", i, i
}' >large
cp large a/Pickup/.large && mv a/Pickup/.large a/Pickup/large
printf 'From: s@a.example\nTo: v@b.example\nSubject: small\n\nsmall\n' >a/Pickup/.small && mv a/Pickup/.small a/Pickup/small
wait_for '[ -z "$(ls a/Pickup a/Queue | grep eml)" ] && [ "$(ls b/Drop | wc -l)" = 2 ]'
tr -d '\r' <"$(grep -l '^Subject: large' b/Drop/*)" | sed '1,/^$/d' >got
sed '1,/^$/d' large | diff - got | sed 3q >diff.out
is "$(cat diff.out)" '' 'what came is not what was sent'
ok 'three megabytes'

# Somebody stays connected; mail goes out in the same moment.
spawn idle "$SH" -c "(echo EHLO x; sleep 20) | $TEST/nc 127.0.0.1 $PORT"
cp large a/Pickup/.more && mv a/Pickup/.more a/Pickup/more
wait_for '[ ! -e a/Pickup/more ]'
stop_server
ok 'the end'
