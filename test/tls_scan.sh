#!/bin/sh
# Goal: sslscan and testssl have nothing to complain of: no old version, no weak cipher, key exchange or signature, no
# known hole; by STARTTLS and from the first octet on. FULL=1, and CI, lets testssl look at all that it knows.
# shellcheck disable=SC2086
. "${TEST:-$(dirname "$0")}/lib.sh"
. "$TEST/certs"

need openssl
need_tls
need sslscan
authority ca
certify mail ca localhost mail.example.org
certify rsa ca localhost mail.example.org with rsa
chain mail ca.pem
chain rsa ca.pem
cat >tls.conf <<'E'
resolver 127.0.0.1:1
server main {
    general { listen 127.0.0.1:0; hostname mail.example.org; mailroot main }
    access { certificate mail-chain.pem mail.key; certificate rsa-chain.pem rsa.key }
    domain example.org default
}
server implicit {
    general { listen 127.0.0.1:0 tls; hostname mail.example.org; mailroot implicit }
    access { certificate mail-chain.pem mail.key; certificate rsa-chain.pem rsa.key }
    domain example.org default
}
E
start_server tls.conf
MAIN=$(port_of main) IMPLICIT=$(port_of implicit)

scan() {	# OPTION ...
	limit 60 sslscan --no-colour --show-certificate "$@" >scan 2>&1 || fail "sslscan $*: $(cat scan)"
	for line in 'SSLv2 *disabled' 'SSLv3 *disabled' 'TLSv1.0 *disabled' 'TLSv1.1 *disabled' 'TLSv1.2 *enabled' 'TLSv1.3 *enabled' \
		'Server supports TLS Fallback SCSV' 'Session renegotiation not supported' 'Compression disabled|does not support compression' \
		'TLSv1.3 not vulnerable to heartbleed' 'TLSv1.2 not vulnerable to heartbleed' 'Preferred TLSv1.3' 'Preferred TLSv1.2'; do
		grep -qE "$line" scan || fail "sslscan $*: no '$line': $(cat scan)"
	done
	! grep -E '^(Accepted|Preferred) ' scan | grep -vE 'TLSv1.3 .*TLS_|TLSv1.2 .*ECDHE-(RSA|ECDSA)-(AES(128|256)-GCM|CHACHA20-POLY1305)' ||
		fail "sslscan $*: a weak cipher"
	! grep -q 'ffdhe' scan || fail "sslscan $*: groups of finite fields, which are slow or weak"
	! grep -iE '^ *(vulnerable|.* vulnerable to)' scan | grep -v 'not vulnerable' || fail "sslscan $*: a hole"
}
scan --starttls-smtp "$HOST:$MAIN"
scan "$HOST:$IMPLICIT"

need testssl
# What it says of a private authority and of no name in the DNS is not ours, and tickets it tries otherwise than tls_names.sh.
# Severities from LOW on are complaints.
[ "${CI-}" != true ] || : "${FULL:=1}"
checks='--protocols --server-defaults --fs --headers'
[ -z "${FULL-}" ] || checks='--protocols --server-defaults --fs --server-preference --std --vulnerable'
look() {
	rm -f found.csv
	limit 110 testssl --quiet --color 0 --warnings off --nodns min --severity LOW --csvfile found.csv ${checks# } "$@" >look.log 2>&1 </dev/null
	[ -s found.csv ] || fail "testssl $*: $(cat look.log)"
	grep -E '"(LOW|MEDIUM|HIGH|CRITICAL|WARN)"' found.csv |
		grep -vE '"(cert_chain_of_trust|cert_crlDistributionPoints|cert_revocation|OCSP_|cert_ocsp|DNS_CAA|cert_notAfter|cert_extlifeSpan|engine_problem|sessionresumption_)[^"]*"' >found
	[ ! -s found ] || fail "testssl $*: $(cat found)"
}
look --starttls smtp "localhost:$MAIN"
stop_server
ok
