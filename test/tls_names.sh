#!/bin/sh
# Goal: TLS as a server is what it says, to whatever comes.
# - the name that is asked for chooses the certificate, exactly before by a wildcard; none, or one that nobody has, gets
#   the first; RSA and ECDSA side by side, and the client's abilities choose; the chain is shown with it;
# - 1.2 and 1.3, tls-minimum, nothing older; of 1.2 only ciphers with forward secrecy; no renegotiation, no compression;
# - sessions are resumed by tickets in both, by those of this server alone;
# - a client's certificate, good, foreign, expired or none, is noted in the log and refuses nobody.
# shellcheck disable=SC2086,SC2016
. "${TEST:-$(dirname "$0")}/lib.sh"
. "$TEST/certs"

need openssl
need_tls
authority root
authority sub root
authority stranger
certify first sub mail.example.org
certify first-rsa sub mail.example.org with rsa
certify wild root '*.example.org' example.org
certify exact root www.example.org
certify net root mail.example.net 127.0.0.1
chain first sub.pem
chain first-rsa sub.pem
certify friend root with client
certify late root with client expired
certify alien stranger with client
cat >tls.conf <<'E'
resolver 127.0.0.1:1
server main {
    general { listen 127.0.0.1:0 tls; hostname mail.example.org; mailroot main }
    access {
        certificate first-chain.pem first.key
        certificate wild.pem wild.key
        certificate first-rsa-chain.pem first-rsa.key
        certificate exact.pem exact.key
        certificate net.pem net.key
        client-authorities root.pem
    }
    domain example.org default
}
server new {
    general { listen 127.0.0.1:0 tls; hostname mail.example.org; mailroot new }
    access { certificate first-chain.pem first.key; tls-minimum 1.3 }
    domain example.org default
}
server rsa {
    general { listen 127.0.0.1:0; hostname mail.example.org; mailroot rsa }
    access { certificate first-rsa-chain.pem first-rsa.key }
    domain example.org default
}
E
start_server tls.conf
MAIN=$(port_of main) NEW=$(port_of new) RSA=$(port_of rsa)

# s_client PORT OPTION ...: says QUIT; got is all that the command tells, status whether there was a handshake.
s_client() {
	to=$1; shift
	printf 'QUIT\r\n' | limit 20 openssl s_client -connect "$HOST:$to" -ign_eof "$@" >got 2>&1
}
serial_of() { openssl x509 -in "$1.pem" -noout -serial; }
shows() { is "$(openssl x509 -noout -serial <got)" "$(serial_of "$1")" "$2"; }
good() { s_client "$@" && grep -q '^221 2' got || fail "s_client $*: $(cat got)"; }
bad() { ! s_client "$@" || fail "s_client $*: a handshake"; ! grep -q '^220 ' got || fail "s_client $*: it is greeted"; }

# --- names ---

for way in -tls1_2 -tls1_3; do
	good $MAIN $way -servername mail.example.org; shows first "$way first"
	good $MAIN $way -noservername;                shows first "$way no name"
	good $MAIN $way -servername nobody.example;   shows first "$way a name that nobody has"
	good $MAIN $way -servername a.b.example.org;  shows first "$way two labels under a wildcard"
	good $MAIN $way -servername WWW.example.ORG;  shows exact "$way exactly, in other letters"
	good $MAIN $way -servername news.example.org; shows wild "$way by a wildcard"
	good $MAIN $way -servername example.org;      shows wild "$way the second name of one"
	good $MAIN $way -servername mail.example.net; shows net "$way the last"
	good $MAIN $way -servername mail.example.org -CAfile root.pem -verify_return_error -verify_hostname mail.example.org
	grep -q 'Verify return code: 0 (ok)' got || fail "$way: the chain is not whole: $(cat got)"
done
good $MAIN -tls1_2 -servername mail.example.org -cipher aRSA; shows first-rsa 'RSA is all that it can, 1.2'
good $MAIN -tls1_2 -servername mail.example.org -cipher aECDSA; shows first 'ECDSA is all that it can, 1.2'
good $MAIN -tls1_3 -servername mail.example.org -sigalgs rsa_pss_rsae_sha256; shows first-rsa 'RSA is all that it can, 1.3'
is "$(grep -c 's:CN = sub$' got)" 1 'the chain behind the RSA certificate'
good $MAIN -tls1_3 -servername mail.example.org -sigalgs ECDSA+SHA256; shows first 'ECDSA is all that it can, 1.3'
good $MAIN -tls1_3 -groups P-384; good $MAIN -tls1_2 -groups P-256

# --- versions and ciphers ---

good $NEW -tls1_3
bad $NEW -tls1_2
bad $NEW -no_tls1_3
for port in $MAIN $NEW; do
	bad $port -tls1 -cipher ALL:@SECLEVEL=0
	bad $port -tls1_1 -cipher ALL:@SECLEVEL=0
done
for cipher in kRSA DHE aNULL CBC eNULL AES256-SHA ECDHE-RSA-AES128-SHA256 ECDHE-ECDSA-AES256-SHA PSK; do
	s_client $MAIN -tls1_2 -cipher $cipher:@SECLEVEL=0 || ! grep -q 'no cipher match' got || continue
	! grep -q '^220 ' got || fail "$cipher is accepted"
done
good $MAIN -tls1_2 -comp; grep -q '^Compression: NONE' got || fail 'it is compressed'
# The client asks for another handshake; what it says afterwards is not heard, or is answered on the old one.
{ printf 'NOOP\r\n'; sleep 1; printf 'R\n'; sleep 1; printf 'QUIT\r\n'; } |
	limit 20 openssl s_client -connect "$HOST:$MAIN" -tls1_2 -crlf >got 2>&1 && fail 'renegotiation'
grep -q '^RENEGOTIATING' got && grep -q 'no renegotiation' got || fail "renegotiation: $(cat got)"

# --- tickets ---

# resumes NAME PORT OPTION ...: for both versions; the second one finds the session of the first.
resumed() {
	for way in -tls1_2 -tls1_3; do
		rm -f session
		good "$@" $way -sess_out session
		grep -q '^New, ' got || fail "$* $way: the first is no new session"
		good "$@" $way -sess_in session
		grep -q '^Reused, ' got || fail "$* $way: not resumed: $(cat got)"
	done
}
resumed $MAIN -servername www.example.org
resumed $RSA -starttls smtp
# Of another server: a whole handshake, and no more than that.
good $NEW -tls1_3 -sess_in session
grep -q '^New, ' got || fail "another server's ticket is taken"
good $MAIN -tls1_2 -no_ticket -sess_out session; good $MAIN -tls1_2 -no_ticket -sess_in session
grep -q '^New, ' got || fail 'a session was kept here'
[ "$(grep -c 'TLSv1.[23] TLS_.* resumed' server.log)" = 0 ] || fail 'the log tells of sessions without mail'

# --- certificates of clients ---

# mail WHO OPTION ...: one message.
mail() {
	who=$1; shift
	printf '%s\r\n' "EHLO $who" 'MAIL FROM:<>' 'RCPT TO:<x>' DATA '' . QUIT |
		limit 20 openssl s_client -connect "$HOST:$MAIN" -quiet -ign_eof "$@" >got 2>&1
	grep -q 'queued' got || fail "a client with the certificate $who: $(cat got)"
	told=$(sed -n "s/.* helo=$who .* tls=\"\(.*\)\"\$/\1/p" server.log)
}
for way in -tls1_2 -tls1_3; do
	mail none$way $way;                                         like "$told" 'TLSv1.[23] TLS_[A-Z0-9_]*[A-Z0-9]' 'without one'
	mail friend$way $way -cert friend.pem -key friend.key;      like "$told" 'TLSv1.[23] TLS_* verified friend' 'a good one'
	mail late$way $way -cert late.pem -key late.key;            like "$told" 'TLSv1.[23] TLS_* unverified late' 'an expired one'
	mail alien$way $way -cert alien.pem -key alien.key;         like "$told" 'TLSv1.[23] TLS_* unverified alien' 'a foreign one'
	rm -f session
	mail friend$way-1 $way -cert friend.pem -key friend.key -sess_out session
	mail friend$way-2 $way -cert friend.pem -key friend.key -sess_in session
	like "$told" 'TLSv1.[23] TLS_* resumed verified friend' 'a good one, resumed'
	mail late$way-1 $way -cert late.pem -key late.key -sess_out session
	mail late$way-2 $way -cert late.pem -key late.key -sess_in session
	like "$told" 'TLSv1.[23] TLS_* resumed unverified late' 'an expired one, resumed'
done
good $RSA -starttls smtp
grep -q 'No client certificate CA names sent' got || fail 'a server without client-authorities asks for one'
stop_server
ok
