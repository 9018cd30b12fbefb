#!/bin/sh
# Goal: octets are octets. DATA keeps all of them but what ends its lines; a message in BINARYMIME is stored as it came,
# lines or not: RFC 3030, section 3; RFC 6152. And a BDAT whose size cannot be read ends the session: RFC 3030, section 2.
. "${TEST:-$(dirname "$0")}/lib.sh"

start_server
begin='EHLO client.example\r\nMAIL FROM:<smith@example.com>%s\r\nRCPT TO:<jones@example.org>\r\n'
bye='221 2.0.0 mail.example.org closing the channel'
# The content of the only message in Drop: what stands behind our Received field.
content() {
	wait_for '[ "$(messages plain/Drop | wc -l)" -eq 1 ]'
	head=$(awk '{ n += length($0) + 1 } /^	[A-Z][a-z][a-z], / { print n; exit }' plain/Drop/*.eml)
	tail -c +$((head + 1)) plain/Drop/*.eml
	rm plain/Drop/*
}

# 1 to 255 and 0, without CR and LF; then with them.
octets() { awk -v but="$1" 'BEGIN { for (; i++ < 256;) if (!but || i != 10 && i != 13) printf "\\%03o", i % 256 }'; }
{ printf 'Subject: octets\r\n\r\n'; printf "$(octets 1)\r\n"; } >text
{ printf "$begin" ' BODY=8BITMIME'; printf 'DATA\r\n'; cat text; printf '.\r\nQUIT\r\n'; } | talk | tr -d '\r' >answers
is "$(tail -n 1 answers)" "$bye" 'DATA'
content >got
cmp text got || fail 'DATA changed the octets'

{ printf '\n.\n\r.\r\r\n.\r\n.'; printf "$(octets '')"; printf '\n\n\r\r\000\000\r\n.\r\nRSET\r\n.'; } >binary
size=$(wc -c <binary | tr -d ' ')
{ printf "$begin" ' BODY=BINARYMIME'; printf 'BDAT %d LAST\r\n' "$size"; cat binary; printf 'QUIT\r\n'; } | talk | tr -d '\r' >answers
is "$(tail -n 1 answers)" "$bye" 'BINARYMIME'
content >got
cmp binary got || fail 'BINARYMIME changed the octets'
# The same in chunks of 1, 2, 3, ... octets.
{
	printf "$begin" ' BODY=BINARYMIME'
	at=1 n=1
	while [ $at -le "$size" ]; do
		[ $((at + n)) -le "$size" ] || n=$((size - at + 1))
		printf 'BDAT %d\r\n' $n
		tail -c +$at binary | dd bs=1 count=$n 2>/dev/null
		at=$((at + n)) n=$((n + 1))
	done
	printf 'BDAT 0 LAST\r\nQUIT\r\n'
} | talk | tr -d '\r' >answers
is "$(tail -n 1 answers)" "$bye" 'chunks of BINARYMIME'
content >got
cmp binary got || fail 'chunks of BINARYMIME changed the octets'

# None of these can be trusted to say where its chunk ends.
for line in BDAT 'BDAT x' 'BDAT -1' 'BDAT +1' 'BDAT 1 FIRST' 'BDAT 1 LAST LAST' 'BDAT LAST 1' 'BDAT 1LAST' 'BDAT 1.0' \
	'BDAT 0x10' 'BDAT 99999999999999999999' 'BDAT 18446744073709551617 LAST'
do
	is "$({ printf "$begin"; printf '%s\r\nRSET\r\nQUIT\r\n' "$line"; } | talk | tr -d '\r' | tail -n 1)" \
		'501 5.5.4 Syntax: BDAT size [LAST]; closing, for what follows cannot be told apart' "$line"
done
ok
