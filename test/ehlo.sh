#!/bin/sh
# Goal: what EHLO offers is what the code does (RFC 5321, section 2.2). Each keyword has a probe here. A server that
# offers it must pass; one from which `extensions -KEYWORD` has taken it must not offer it, and must not pass. The numbers
# behind SIZE (RFC 1870) and LIMITS (RFC 9422) are those that hold.
. "${TEST:-$(dirname "$0")}/lib.sh"
. "$TEST/certs"

server() { cat <<-EOF
	server $1 {
	    general { listen 127.0.0.1:0; hostname mail.example.org; mailroot $1 }
	    access { passwords passwords; clear-text-passwords yes${tls:+; $tls} }
	    messages { $2 }
	    domain example.org default
	    domain held.example remote { hold yes }
	    domain branch.example remote { hold yes; hold-accounts anna }
	}
	EOF
}
all='PIPELINING SIZE 8BITMIME BINARYMIME CHUNKING SMTPUTF8 DSN ENHANCEDSTATUSCODES LIMITS HELP ETRN ATRN TURN AUTH' tls=''
account
if "$SMTPD" -V | grep -q 'with TLS' && command -v openssl >/dev/null; then
	authority ca
	certify mail ca mail.example.org
	all="$all STARTTLS" tls='certificate mail.pem mail.key'
fi
{
	server whole 'max-size 2K; max-recipients 3'
	server unlimited 'max-size unlimited'
	for i in $all; do server "without-$i" "max-size 2K; max-recipients 3; extensions -$i"; done
	server bare "extensions $(echo "$all" | sed 's/[^ ][^ ]*/-&/g')"
} >ehlo.conf
start_server ehlo.conf

# The answers to what is said after EHLO, without EHLO's own.
after_ehlo() { { echo 'EHLO client.example'; cat; echo QUIT; } | say | sed '1,/^250 /d'; }
keywords()   { printf 'EHLO client.example\nQUIT\n' | say | sed -n '1,2d; s/^250[- ]//p'; }
answers() {	# PATTERN COMMAND ...: the last command's answer
	pattern=$1; shift
	got=$(printf '%s\n' "$@" | after_ehlo | tail -n 2 | sed '$d')
	case $got in $pattern) ;; *) false ;; esac
}
from='MAIL FROM:<smith@example.com>' to='RCPT TO:<jones@example.org>'

probe() {
	case $1 in
	PIPELINING)     is "$(printf '%s\n' NOOP "$from" "$to" RSET | after_ehlo | sed 's/ .*//' | tr '\n' ' ')" \
				'250 250 250 250 221 ' 'a group of commands' ;;
	SIZE)           answers '250 *' "$from SIZE=100" ;;
	8BITMIME)       answers '250 *' "$from BODY=8BITMIME" ;;
	BINARYMIME)     answers '250 *' "$from BODY=BINARYMIME" "$to" 'BDAT 0 LAST' ;;
	CHUNKING)       answers '250 *' "$from" "$to" 'BDAT 0 LAST' ;;
	SMTPUTF8)       answers '250 *' "$from SMTPUTF8" ;;
	DSN)            answers '250 *' "$from RET=HDRS ENVID=QQ314159" &&
			answers '250 *' "$from" "$to NOTIFY=NEVER ORCPT=rfc822;jones@example.org" ;;
	ENHANCEDSTATUSCODES) answers '250 2.0.0 *' NOOP && answers '503 5.5.1 *' DATA ;;
	LIMITS)         answers '452 *' "$from" "$to" 'RCPT TO:<a>' 'RCPT TO:<b>' 'RCPT TO:<c>' ;;
	HELP)           answers '214 *' HELP ;;
	ETRN)           answers '251 *' 'ETRN held.example' ;;
	AUTH)           answers '235 *' "$PLAIN" ;;
	ATRN)           answers '453 *' "$PLAIN" ATRN ;;
	TURN)           answers '453 *' "$PLAIN" TURN ;;
	STARTTLS)       got=$(printf '%s\n' 'EHLO client.example' STARTTLS | say | tail -n 1)
			case $got in 220*) ;; *) false ;; esac ;;
	*)              fail "EHLO offers $1, which has no probe here" ;;
	esac
}

# What goes with it when one is taken away: RFC 3030, section 3; RFC 6531, section 3.1.
goes_with() {
	case $1 in
	CHUNKING)       echo BINARYMIME ;;
	8BITMIME)       echo BINARYMIME SMTPUTF8 ;;
	AUTH)           echo ATRN TURN ;;
	esac
}

check() {	# SERVER LACKING ...: it offers all but these, and keeps its word
	name=$1; shift
	use "$name"
	keywords | sed 's/ .*//' >offered
	for i in $all; do
		case " $* " in
		*" $i "*)
			! grep -q -x "$i" offered || fail "$name offers $i"
			# Nobody can be kept from writing before reading, and limits hold for those who do not know them.
			case $i in PIPELINING | LIMITS) ;; *) ! probe "$i" || fail "$name accepts $i and does not offer it" ;; esac ;;
		*)
			grep -q -x "$i" offered || fail "$name does not offer $i" ;;
		esac
	done
	while read -r i; do probe "$i" || fail "$name offers $i, and answers: $got"; done <offered
}

check whole ''
for i in $all; do check "without-$i" "$i" $(goes_with $i); done

# Nothing at all: one line. RFC 5321, section 4.1.1.1.
use bare
is "$(echo EHLO client.example | say)" '220 mail.example.org ESMTP smtpd
250 mail.example.org greets [127.0.0.1]' 'a server without extensions'

# Without ENHANCEDSTATUSCODES no reply has one, whatever its code.
use without-ENHANCEDSTATUSCODES
printf '%s\n' HELP 'HELP DATA' HAIL VRFY 'VRFY x' EXPN DATA "$from" "$from" 'RCPT TO:<jones@example.com>' "$to" |
	after_ehlo >got
! grep '^[2-5][0-9][0-9][ -][245]\.[0-9]' got || fail 'a status code that was not offered'
is "$(sed 's/^\(...\).*/\1/' got | tr '\n' ' ')" '214 214 214 500 501 252 502 503 250 503 550 250 221 '

# The numbers.
use whole
keywords | grep -q -x 'SIZE 2048' || fail 'EHLO does not say SIZE 2048'
keywords | grep -q -x 'LIMITS RCPTMAX=3' || fail 'EHLO does not say LIMITS RCPTMAX=3'
answers '250 *' "$from SIZE=2048" || fail "SIZE=2048 is answered: $got"
answers '552 *' "$from SIZE=2049" || fail "SIZE=2049 is answered: $got"
answers '250 *' "$from" "$to" 'RCPT TO:<a>' 'RCPT TO:<b>' || fail "the third recipient is answered: $got"
text() { awk -v n="$1" 'BEGIN { printf "X: "; for (n -= 5; n > 0; n--) printf "x" }'; }
answers '250 *' "$from" "$to" DATA "$(text 2048)" . || fail "2048 octets are answered: $got"
answers '552 *' "$from" "$to" DATA "$(text 2049)" . || fail "2049 octets are answered: $got"

use unlimited
keywords | grep -q -x SIZE || fail 'without a limit SIZE has no number: RFC 1870, section 4'
answers '250 *' "$from SIZE=100000" || fail "SIZE=100000 is answered: $got"
ok
