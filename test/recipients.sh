#!/bin/sh
# recipients: only who stands in the file exists: in all our domains by his name, in one by his whole address, whatever
# the case; and postmaster, RFC 5321, section 4.5.1. Others are refused at RCPT; what comes by Pickup is returned.
. "${TEST:-$(dirname "$0")}/lib.sh"

cat >conf <<'E'
resolver 127.0.0.1:1
server s {
    general { listen 127.0.0.1:0; hostname mail.example.org; mailroot m }
    domain example.org default { recipients people }
    domain example.net alias
    domain example.com remote { allow-relay yes }
}
E
printf '%s\n' '# who lives here' jones '' 'O.Brian	# or so' smith@Example.Net >people
cat >who.t <<'E'
S: 220 *
C: EHLO client.example
S* 250 HELP
C: MAIL FROM:<smith@example.com>
S: 250 2.1.0 *
C: RCPT TO:<Jones@example.org>
S: 250 2.1.5 *
C: RCPT TO:<jones>
S: 250 2.1.5 *
C: RCPT TO:<"jones"@example.org>
S: 250 2.1.5 <jones@example.org> *
C: RCPT TO:<o.brian@EXAMPLE.net>
S: 250 2.1.5 *
C: RCPT TO:<smith@example.net>
S: 250 2.1.5 *
C: RCPT TO:<smith@example.org>
S: 550 5.1.1 <smith@example.org> nobody of this name lives here
C: RCPT TO:<jonesx@example.org>
S: 550 5.1.1 <jonesx@example.org> nobody of this name lives here
C: RCPT TO:<jone@example.net>
S: 550 5.1.1 *
C: RCPT TO:<>
S: 501 *
C: RCPT TO:<jonesx@example.com>
S: 250 2.1.5 *
C: RCPT TO:<PostMaster>
S: 250 2.1.5 *
C: RCPT TO:<postmaster@example.net>
S: 250 2.1.5 *
C: RCPT TO:<postmasters@example.org>
S: 550 5.1.1 *
C: VRFY jonesx
S: 252 *
C: QUIT
S: 221 *
E
start_server conf
converse who.t
ok 'RCPT'

# --- what was taken before, or another way ---

letter() { printf 'x-sender: jones@example.org\n'; printf 'x-receiver: %s\n' "$@"; printf 'From: jones@example.org\nSubject: %s\n\nx\n' "$1"; }
letter nobody@example.org >note; mv note m/Pickup/one
wait_for 'grep -qs "^Status: 5.1.1" m/Drop/*.eml'
grep -q '^Final-Recipient: rfc822;nobody@example.org' m/Drop/*.eml || fail 'no report on who does not exist'
wait_for '[ -z "$(ls m/Queue)" ]'
is "$(ls m/Drop | wc -l | tr -d ' ')" 1
rm m/Drop/*
letter nobody@example.org jones@example.net >note; mv note m/Pickup/two
wait_for '[ "$(ls m/Drop | wc -l | tr -d " ")" = 2 ] && [ -z "$(ls m/Queue)" ]'
mail=$(grep -L '^Status:' m/Drop/*.eml)
is "$(grep '^x-' "$mail" | tr -d '\r')" 'x-sender: jones@example.org
x-receiver: jones@example.net' 'to whom it was delivered'
grep -q '^Status: 5.1.1' m/Drop/*.eml || fail 'no report on the one who does not exist'
ok 'Pickup'

# --- another file ---

echo nobody >people
kill -HUP "$(cat server.pid)"
wait_for 'grep -q "configuration was read again" server.log'
printf '%s\n' 'EHLO x' 'MAIL FROM:<>' 'RCPT TO:<jones>' 'RCPT TO:<nobody>' QUIT | say >said
grep -q '^250 2.1.5 <nobody@' said || fail 'the new file is not in force'
grep -q '^550 5.1.1 <jones@' said || fail 'the old file is still in force'
stop_server

# --- mistakes ---

printf '%s\n' 'two words' good '<x@example.org>' '"q"@example.org' far@example.com a@b@c 'x,y' >people
"$SMTPD" -n -f conf 2>said && fail 'a wrong file is taken'
is "$(sed 's/^[^:]*: smtpd: //' said)" "people:1: 'two words' is no name and no address; write one a line
people:3: '<x@example.org>' is no name and no address; write one a line
people:4: '\\x22q\\x22@example.org' is no name and no address; write one a line
people:5: 'far@example.com' is in none of our domains
people:6: 'a@b@c' is no name and no address; write one a line
people:7: 'x,y' is no name and no address; write one a line"
echo jones >people
sed 's/mailroot m }/&; messages { ndr-copy-to ops@example.org }/' conf >copy.conf
"$SMTPD" -n -f copy.conf 2>said && fail 'a copy to nobody is taken'
like "$(cat said)" "*copy.conf:*: ndr-copy-to: nobody in 'recipients' or 'aliases' is called 'ops@example.org'"
echo ops >>people; "$SMTPD" -n -f copy.conf || fail 'a copy to somebody is refused'
awk 'BEGIN { for (i = 0; i < 200000; i++) print "user" i }' >people
start_server conf
printf '%s\n' 'EHLO x' 'MAIL FROM:<>' 'RCPT TO:<user199999>' 'RCPT TO:<user0>' 'RCPT TO:<user200000>' QUIT | say >said
is "$(grep -c '^250 2.1.5' said):$(grep -c '^550 5.1.1' said)" 2:1 'of many'
stop_server
ok
