#!/bin/sh
# Goal: STARTTLS where it may be said, and nothing of what was said before it, or along with it, is known afterwards.
# - not before EHLO, not inside a transaction, not with an argument, not twice, not where `extensions' hides it, not
#   by pipes (-bs); and EHLO offers it exactly where it can be said;
# - what comes in the same packet, or before the reply can have been read, is heard in no case: RFC 3207, 4.2;
# - require-tls: only EHLO, HELO, NOOP, HELP, RSET and QUIT before it, and the octets of BDAT are no commands.
# shellcheck disable=SC2016
. "${TEST:-$(dirname "$0")}/lib.sh"
. "$TEST/certs"

need openssl
need_tls
self_signed mail mail.example.org
server() { cat <<-E
	server $1 {
	    general { listen 127.0.0.1:0${3-}; hostname mail.example.org; mailroot $1 }
	    access { certificate mail.pem mail.key; $2 }
	    messages { ${4-} }
	    domain example.org default
	}
	E
}
{
	echo 'resolver 127.0.0.1:1'
	server main ''
	server strict 'require-tls yes'
	server slow 'tarpit 1s'
	server hidden '' '' 'extensions -STARTTLS'
	server implicit 'require-tls yes' ' tls'
} >tls.conf
start_server tls.conf
own_nc

# under OPTION ...: what is said after the handshake.
under() { limit 20 openssl s_client -connect "$HOST:$PORT" -quiet -ign_eof "$@" 2>s_client.log | tr -d '\r'; }
last() { is "$(printf '%s\n' "$@" | say | tail -n 1)" "$want" "$*"; }
lacks() { ! grep -q "$1" "$2" || fail "$3: $(cat "$2")"; }

# --- where it may be said ---

use main
want='503 5.5.1 Say EHLO or HELO first';                       last STARTTLS
want='503 5.5.1 A transaction is under way; RSET ends it';     last 'EHLO c' 'MAIL FROM:<>' STARTTLS
want='220 2.0.0 Ready to start TLS'
last 'EHLO c' STARTTLS
last 'EHLO c' 'starttls '
last 'EHLO c' 'MAIL FROM:<>' RSET StartTLS
last 'EHLO c' NONSENSE STARTTLS
like "$(printf '%s\n' 'EHLO c' 'STARTTLS now' | say | tail -n 1)" '501 5.5.4 *STARTTLS*' 'with an argument'
printf '%s\n' 'EHLO c' 'HELP STARTTLS' QUIT | say >got
grep -q '^250.STARTTLS$' got && grep -q '^214 2.0.0 STARTTLS$' got || fail "it is not offered: $(cat got)"

# Afterwards it is not, and the client has to say again who it is.
printf '%s\r\n' 'MAIL FROM:<>' 'EHLO d' STARTTLS 'HELP STARTTLS' QUIT | under -starttls smtp >got
grep -q '^503 5.5.1 Say EHLO or HELO first$' got || fail "EHLO is remembered: $(cat got)"
lacks 'STARTTLS$' got 'it is offered twice'
grep -q '^502 5.5.1 .*STARTTLS' got && grep -q '^221 ' got || fail "twice: $(cat got)"
printf '%s\r\n' HELP 'EHLO d' 'MAIL FROM:<a@b.example>' 'RCPT TO:<x>' DATA '' . QUIT | under -starttls smtp -name first.example >got
grep -q queued got || fail "mail: $(cat got)"
like "$(cat main/Drop/*.eml)" '*Received: from d (\[127.0.0.1\])*with ESMTPS id *	tls TLS_*;*' 'who says EHLO afterwards counts'
lacks STARTTLS got 'HELP under TLS'

use hidden
printf '%s\n' 'EHLO c' STARTTLS QUIT | say >got
lacks '^250.STARTTLS' got 'it is hidden'
grep -q '^502 5.5.1 .*STARTTLS' got || fail "hidden: $(cat got)"
use implicit
printf '%s\r\n' 'EHLO c' STARTTLS 'MAIL FROM:<>' QUIT | under >got
lacks '^250.STARTTLS' got 'under implicit TLS it is offered'
grep -q '^502 5.5.1 ' got && grep -q '^250 2.1.0' got || fail "implicit: $(cat got)"
use strict
sed "s, strict \\(}\\|$\\), $T/strict \\1," tls.conf | awk '/^server strict/ { on = 1 } NR == 1 || on; /^}/ && on { exit }' >pipes.conf
printf '%s\r\n' 'EHLO c' STARTTLS 'MAIL FROM:<>' QUIT | limit 10 "$SMTPD" sendmail -C pipes.conf -bs >got 2>bs.log || fail "-bs: $(cat bs.log)"
lacks STARTTLS$ got '-bs offers it'
is "$(tr -d '\r' <got | sed 's/^\(...\).*/\1/' | uniq | tr '\n' ' ')" '220 250 502 250 221 ' '-bs needs none'

# --- what comes along with it ---

use main
want='503 5.5.1 Wait for the reply to STARTTLS before you say more'
last 'EHLO c' STARTTLS QUIT
last 'EHLO c' STARTTLS 'EHLO d' 'MAIL FROM:<>' 'RCPT TO:<x>' DATA 'Subject: injected' '' .
is "$(printf 'EHLO c\r\nSTARTTLS\r\n\n' | talk | tr -d '\r' | tail -n 1)" "$want" 'an empty line'
is "$(printf 'EHLO c\r\nSTARTTLS\r\nM' | talk | tr -d '\r' | tail -n 1)" "$want" 'one octet'
is "$(printf 'EHLO c\r\nSTARTTLS\r\n\026\003\001' | talk | tr -d '\r' | tail -n 1)" "$want" 'the beginning of a handshake'
# Split, so that it comes when we have read STARTTLS: the handshake gets it, and fails.
refused() { grep -c '^- closed server="main" client=127.0.0.1 reason="TLS: ' server.log; }
for more in 'RSET\r\n' 'EHLO d\r\nMAIL FROM:<>\r\nRCPT TO:<x>\r\nDATA\r\nSubject: injected\r\n\r\n.\r\nQUIT\r\n'; do
	before=$(refused)
	mkfifo split
	limit 20 "$own" "$HOST" "$PORT" <split >got & job=$!
	exec 8>split
	printf 'EHLO c\r\nSTARTTLS\r\n' >&8
	wait_for 'grep -q "^220 2.0.0 Ready" got'
	printf "$more" >&8
	wait $job
	exec 8>&-; rm split
	is "$(tr -d '\r' <got | tr -cd ' -~\n' | sed '1,/^220 2.0.0/d' | grep -c '^[2-5][0-9][0-9]')" 0 'something was heard'
	wait_for '[ "$(refused)" = $((before + 1)) ]'
done
# Octet by octet, and all before the reply is read: either it is seen along with it, or the handshake gets it.
printf 'EHLO c\r\nSTARTTLS\r\nNOOP\r\nNOOP\r\n' | limit 20 "$own" -b "$HOST" "$PORT" | tr -d '\r' >got
lacks '^250 2.0.0 OK' got 'octet by octet'
# The handshake itself is begun before the reply can have been read: no harm, for it is no command.
is "$(find main/Queue main/Drop -name '*.eml' | wc -l | tr -d ' ')" 1 'messages'
is "$(grep -l injected main/Drop/*)" '' 'what was injected'
# A client that talks on, reads nothing, says STARTTLS behind it and is gone.
mkfifo deaf
limit 20 "$own" "$HOST" "$PORT" <deaf >/dev/null & job=$!
exec 8>deaf
{ awk 'BEGIN { for (; i++ < 2000;) print "HELP\r" }'; printf 'EHLO c\r\nSTARTTLS\r\n'; } >&8
exec 8>&-; rm deaf
wait $job

# --- with a tarpit ---

use slow
printf '%s\n' 'EHLO c' NONSENSE STARTTLS QUIT | say >got
is "$(sed -n 's/^\([45]..\) .*/\1/p' got | tr '\n' ' ')" '500 503 ' 'behind a refusal that is held back'
printf '%s\r\n' NONSENSE 'EHLO d' QUIT | under -starttls smtp >got
is "$(sed 's/^\(...\).*/\1/' got | uniq | tr '\n' ' ')" '500 250 221 ' 'a tarpit under TLS'

# --- require-tls ---

use strict
first='530 5.7.0 Must issue a STARTTLS command first'
for verb in 'MAIL FROM:<>' 'RCPT TO:<x>' DATA 'VRFY x' 'EXPN x' 'ETRN x' 'ATRN x' TURN 'MAIL' 'DATA x'; do
	is "$(printf '%s\n' 'EHLO c' "$verb" QUIT | say | tail -n 2 | head -n 1)" "$first" "$verb"
done
for verb in NOOP RSET HELP 'HELP EHLO' 'EHLO d' 'HELO d'; do
	like "$(printf '%s\n' 'EHLO c' "$verb" QUIT | say | tail -n 2 | head -n 1)" '2[15][04] *' "$verb"
done
like "$(printf '%s\n' 'EHLO c' 'GET / HTTP/1.1' | say | tail -n 1)" '502 5.5.1 *' 'a browser'
for chunk in 'BDAT 6' 'BDAT 6 LAST'; do
	is "$(printf '%s\n' 'EHLO c' 'MAIL FROM:<>' 'RCPT TO:<x>' "$chunk" QUIT "$chunk" QUIT QUIT | say | sed 's/^\(...\).*/\1/' | uniq | tr '\n' ' ')" \
		'220 250 530 221 ' "$chunk"
done
is "$(printf '%s\n' 'MAIL FROM:<>' QUIT | say | sed -n 2p)" "$first" 'before EHLO'
printf '%s\r\n' 'EHLO c' 'MAIL FROM:<>' 'RCPT TO:<x>' 'BDAT 6 LAST' 'A: b' QUIT | under -starttls smtp >got
grep -q queued got || fail "BDAT under TLS: $(cat got)"
stop_server
ok
