#!/bin/sh
# Goal: a Drop folder that has reached its quota takes no more: 452 4.2.2 to each local recipient, RFC 5321, section 4.2.3,
# whether it was found full or has filled up meanwhile. Without that, mail would pile up in Queue and nobody would know.
. "${TEST:-$(dirname "$0")}/lib.sh"

server() { cat <<-EOF
	server $1 {
	    general { listen 127.0.0.1:0; hostname mail.example.org; mailroot $1 }
	    domain example.org default { drop Drop; quota 2K }
	    domain example.net remote { allow-relay yes }
	}
	EOF
}
{ server full; server filling; } >quota.conf
cat >quota.t <<'E'
S: 220 *
C: EHLO client.example
S* 250 HELP
C: MAIL FROM:<smith@example.com>
S: 250 2.1.0 *
C: RCPT TO:<jones@example.org>
S: 452 4.2.2 <jones@example.org> mailbox full
C: RCPT TO:<jones@example.net>
S: 250 2.1.5 *
C: QUIT
S: 221 *
E
mkdir -p full/Drop
awk 'BEGIN { for (; i++ < 128;) printf "%-15s\n", i }' >full/Drop/full.eml
start_server quota.conf
converse quota.t

# Some 700 octets each: the third does not fit any more, the sixth hears of it.
use filling
for i in 1 2 3 4 5 6; do
	{
		printf '%s\n' 'EHLO client.example' 'MAIL FROM:<smith@example.com>' 'RCPT TO:<jones@example.org>' DATA
		awk 'BEGIN { for (; i++ < 10;) print "the quick brown fox jumps over the lazy dog" }'
		printf '%s\n' . QUIT
	} | say >got
	! grep -q '^250 2.6.0' got || wait_for "[ \$(grep -c ' received ' server.log) = \$(grep -c -E ' (delivered|deferred) ' server.log) ]"
done
grep -q '^452 4.2.2 <jones@example.org> mailbox full' got || fail "the sixth of six messages that do not fit is answered
$(cat got)"
ok
