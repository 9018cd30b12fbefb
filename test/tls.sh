#!/bin/sh
# Goal: TLS as a server, by STARTTLS and from the first octet on; what was said before it is forgotten, and what is
# sent along with STARTTLS is heard in no case.
. "${TEST:-$(dirname "$0")}/lib.sh"
. "$TEST/certs"

need openssl
need_tls
authority ca
certify mail ca mail.example.org
cat >tls.conf <<'E'
resolver 127.0.0.1:1
server main {
    general { listen 127.0.0.1:0; hostname mail.example.org; mailroot main }
    access { certificate mail.pem mail.key; client-authorities ca.pem; tls-minimum 1.2 }
    domain example.org default
}
server implicit {
    general { listen 127.0.0.1:0 tls; hostname mail.example.org; mailroot implicit }
    access { certificate mail.pem mail.key; tls-minimum 1.3 }
    domain example.org default
}
server strict {
    general { listen 127.0.0.1:0; hostname mail.example.org; mailroot strict }
    access { certificate mail.pem mail.key; require-tls yes }
    domain example.org default
}
E
start_server tls.conf

# tls PORT OPTION ...: what standard input says, after the handshake.
tls() {
	to=$1; shift
	openssl s_client -connect "$HOST:$to" -CAfile ca.pem -verify_return_error -servername mail.example.org -quiet \
		-ign_eof "$@" 2>s_client.log | tr -d '\r'
}
MAIN=$(port_of main) IMPLICIT=$(port_of implicit) STRICT=$(port_of strict)

printf '%s\r\n' 'EHLO c' 'MAIL FROM:<>' 'RCPT TO:<x>' DATA 'Subject: x' '' . QUIT | tls "$MAIN" -starttls smtp >got
grep -q 'queued$' got || fail "STARTTLS: $(cat got s_client.log)"
! grep -q STARTTLS got || fail 'STARTTLS is offered under TLS'
like "$(cat main/Drop/*.eml)" '*with ESMTPS id *	tls TLS_*' 'Received'
printf '%s\r\n' 'EHLO c' QUIT | tls "$IMPLICIT" >got
grep -q '^220 ' got && grep -q '^221 ' got || fail 'TLS from the first octet on'
! printf '%s\r\n' QUIT | tls "$IMPLICIT" -tls1_2 | grep -q '^220 ' || fail 'TLS 1.2 where 1.3 is the minimum'
PORT=$STRICT
is "$(printf '%s\n' 'EHLO c' 'MAIL FROM:<>' NOOP 'BDAT 6' QUIT QUIT | say | sed '1,/^250 STARTTLS/d')" \
"530 5.7.0 Must issue a STARTTLS command first
250 2.0.0 OK
530 5.7.0 Must issue a STARTTLS command first
221 2.0.0 mail.example.org closing the channel" require-tls
PORT=$MAIN
is "$(printf '%s\n' 'EHLO c' STARTTLS | say | tail -n 1)" '220 2.0.0 Ready to start TLS' 'the reply to STARTTLS'
is "$(printf '%s\n' 'EHLO c' STARTTLS RSET QUIT | say | tail -n 1)" \
	'503 5.5.1 Wait for the reply to STARTTLS before you say more' 'injected commands'
stop_server
ok
