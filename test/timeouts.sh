#!/bin/sh
# Goal: the time of a client begins anew with each line, and with each octet of a message, but not with each octet of a
# line: RFC 5321, section 4.5.3.2. (Silence: timeout.t timeout-data.t)
. "${TEST:-$(dirname "$0")}/lib.sh"

cat >timeouts.conf <<'E'
server main {
    general { listen 127.0.0.1:0; hostname mail.example.org; mailroot main; timeout 5s }
    domain example.org default
}
E
start_server timeouts.conf
sleep 0.01 2>/dev/null || skip 'sleep knows whole seconds only'
slowly() { while read -r line; do printf '%b' "$line"; sleep 1.2; done; }
last() { tr -d '\r' | tail -n 1; }

# Six seconds and more for each, side by side.
printf '%s\n' 'NOOP\r\n' 'NOOP\r\n' 'NOOP\r\n' 'NOOP\r\n' 'NOOP\r\n' 'QUIT\r\n' | slowly | talk | last >lines & jobs=$!
printf '%s\n' 'EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<jones>\r\nDATA\r\n' '.' '.' '\r' '\n' 'x' '\r\n.\r\nQUIT\r\n' |
	slowly | talk | last >text & jobs="$jobs $!"
printf '%s\n' 'EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<jones>\r\nBDAT 6 LAST\r\n' 'a' 'b' 'c' 'd' 'e' 'fQUIT\r\n' |
	slowly | talk | last >chunk & jobs="$jobs $!"
printf '%s\n' 'N' 'O' 'O' 'P' '\r' '\nQUIT\r\n' | slowly | talk | last >octets & jobs="$jobs $!"
wait $jobs
for i in lines text chunk; do is "$(cat $i)" '221 2.0.0 mail.example.org closing the channel' "slow $i"; done
is "$(cat octets)" '421 4.4.2 Nothing heard for too long; closing' 'a slow line'
ok
