#!/bin/sh
# relay_content: what we say to a server depends on what it offers; what the message is, arrives to the octet.
. "${TEST:-$(dirname "$0")}/lib.sh"
. "$TEST/relay"

# --- SIZE ---

scene size_small <<'E'
hello SIZE_100
quit
E
echo | letter size_small
for i in SIZE SIZE_0 SIZE_100000; do
	name=$(echo $i | tr SIZE_ size-)
	scene fits-$name <<-E
	hello $i
	C: MAIL FROM:<s@here.example> SIZE=[1-9]*[0-9]
	S: 250 ok
	rcpt a
	data
	end
	quit
	E
	echo | letter fits-$name
done

# --- eight bits, UTF-8 ---

scene eight <<'E'
hello 8BITMIME
C: MAIL FROM:<s@here.example> BODY=8BITMIME
S: 250 ok
rcpt a
data
C* grün
end
quit
E
echo 'grün' | mail=BODY=8BITMIME letter eight
# Where 8BITMIME is not known it is sent in 7 bits, and that is what SIZE counts.
sevens() { printf '%s\r\n' '220 x' 250-x "$@" '250 ok' '250 ok' '354 go' '250 2.0.0 taken'; }
sevens '250 SIZE' | blurt seven open
printf '%s\n' 'grün = ü' .. -- 'a blank ' "$(printf '%090d' 0)" | mail=BODY=8BITMIME letter seven
sevens '250 SIZE' | blurt seven_part open
mixed='MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="b = b"'
parts() {
	printf '%s\n' '--b = b' 'Content-Type: text/html; charset=utf-8' 'Content-Transfer-Encoding: 8bit' '' 'grün = ü' \
		'--b = b' '' 'plain = text ' '--b = b--' 'the end'
}
parts | header=$mixed mail=BODY=8BITMIME letter seven_part
sevens 250-PIPELINING '250 SIZE 10000' | blurt seven_not open
echo plain | mail=BODY=8BITMIME letter seven_not
for i in header signed; do
	scene seven_$i <<-E
	hello SIZE
	quit
	E
done
echo | header='X-Colour: grün' mail='BODY=8BITMIME' letter seven_header
parts | header=$(echo "$mixed" | sed 's/mixed/signed/') mail=BODY=8BITMIME letter seven_signed
# What was made for one is not what the next one gets, who knows 8BITMIME; nor the other way round.
for i in seven_once seven_then; do
	scene $i 1 <<-E
	hello $([ $i = seven_once ] || echo 8BITMIME)
	mail
	rcpt a
	C: DATA
	E
	echo 'grün = ü' | mail=BODY=8BITMIME letter $i
done
scene seven_once 2 <<'E'
hello 8BITMIME
C: MAIL FROM:<s@here.example> BODY=8BITMIME
S: 250 ok
rcpt a
data
C* Subject: seven_once
C: 
C: grün = ü
C: .
S: 250 2.0.0 taken
quit
E
scene seven_then 2 <<'E'
hello
C: MAIL FROM:<s@here.example>
S: 250 ok
rcpt a
data
C* Subject: seven_then
C: Content-Transfer-Encoding: quoted-printable
C: MIME-Version: 1.0
C: Content-Type: text/plain; charset=unknown-8bit
C: 
C: gr=C3=BCn =3D =C3=BC
C: .
S: 250 2.0.0 taken
quit
E
scene utf8 <<'E'
hello 8BITMIME SMTPUTF8
C: MAIL FROM:<s@here.example> SMTPUTF8
S: 250 ok
rcpt ü
data
end
quit
E
echo | mail=SMTPUTF8 letter utf8 ü
scene utf8_no <<'E'
hello 8BITMIME
quit
E
echo | mail=SMTPUTF8 letter utf8_no ü
# It was said, and nothing needs it.
scene utf8_unused <<'E'
hello
C: MAIL FROM:<s@here.example>
S: 250 ok
rcpt a
data
end
quit
E
echo | mail=SMTPUTF8 letter utf8_unused

# --- BINARYMIME, CHUNKING ---

binary() {
	printf '%s\n' 'MAIL FROM:<s@here.example> BODY=BINARYMIME' "RCPT TO:<a@$1.example>" 'BDAT 20 LAST' .23456789012345678 >>letters
}
scene binary <<'E'
hello BINARYMIME CHUNKING 8BITMIME PIPELINING
C: MAIL FROM:<s@here.example> BODY=BINARYMIME
S: 250 ok
rcpt a
C: BDAT [1-9]* LAST
C* .23456789012345678
S: 250 2.0.0 taken
quit
E
binary binary
# Made 7-bit, it would not be what BDAT counts.
scene binary_seven <<'E'
hello BINARYMIME CHUNKING
quit
E
printf '%s\n' 'MAIL FROM:<s@here.example> BODY=BINARYMIME' 'RCPT TO:<a@binary_seven.example>' 'BDAT 13 LAST' 'A: b' '' 'ü8' >>letters
scene binary_refused <<'E'
hello BINARYMIME CHUNKING 8BITMIME PIPELINING
C: MAIL FROM:<s@here.example> BODY=BINARYMIME
S: 250 ok
rcpt a 550 5.1.1 nobody
rset
quit
E
binary binary_refused
scene binary_no <<'E'
hello CHUNKING 8BITMIME
quit
E
binary binary_no
scene binary_nor <<'E'
hello BINARYMIME 8BITMIME
quit
E
binary binary_nor

# --- DSN ---

scene dsn <<'E'
hello DSN
C: MAIL FROM:<s@here.example> RET=HDRS ENVID=x+2By
S: 250 ok
C: RCPT TO:<a@%> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;o+2Bo@%
S: 250 ok
data
end
quit
E
echo | mail='RET=HDRS ENVID=x+2By' rcpt='NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;o+2Bo@dsn.example' letter dsn
scene dsn_no <<'E'
hello
C: MAIL FROM:<s@here.example>
S: 250 ok
C: RCPT TO:<a@%>
S: 250 ok
data
end
quit
E
echo 'a secret' | mail='RET=HDRS ENVID=x+2By' rcpt='NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;o+2Bo@dsn_no.example' letter dsn_no
scene never <<'E'
hello
mail
rcpt a 550 5.1.1 nobody
rset
quit
E
echo | rcpt=NOTIFY=NEVER letter never

# --- dots and line ends ---

scene dots <<'E'
hello
mail
rcpt a
data
C* begin
C: ..
C: ...
C: ..x
C: 
C: ..
C: end.
C: .
S: 250 2.0.0 taken
quit
E
printf '%s\n' begin .. ... ..x '' .. end. | letter dots
printf '220 x\r\n250-x\r\n250 SIZE\r\n250 ok\r\n250 ok\r\n354 go\r\n250 2.0.0 taken\r\n' | blurt edited open
# Somebody had it in an editor.
mkdir -p m/Queue
printf 'x-sender: s@here.example\r\nx-receiver: a@edited.example\r\nReturn-Path: <s@here.example>\r\nSubject: x\r\n\n\n.\n..x\r\na\rb\r\r\n\0\n.last' \
	>"m/Queue/$(date -u +%Y%m%dT%H%M%S)-00001-0badcafe.eml"

# --- what it limits ---

scene rcptmax <<'E'
hello LIMITS_RCPTMAX=1 PIPELINING
mail
rcpt a
data
end
mail
rcpt b
data
end
quit
E
echo | letter rcptmax a b
for i in 1 2; do
	scene mailmax $i <<-E
	hello LIMITS_MAILMAX=1
	mail
	rcpt $i
	data
	end
	quit
	E
	echo | letter mailmax $i
done
scene pair 1 <<'E'
hello
mail
rcpt a
data
end
mail
rcpt b
data 450 4.2.1 not this one
rset
quit
E
scene pair 2 <<'E'
hello
mail
rcpt c
data
end
quit
E
for i in a b c; do echo | letter pair $i; done

# --- the next server ---

for i in 421 554; do
	scene next$i 1 <<-E
	S: $i 4.3.2 not me
	E:
	E
	scene next$i 2 <<-E
	hello
	mail
	rcpt a
	data
	end
	quit
	E
	echo | letter next$i
done
scene nextmail 1 <<'E'
hello
mail
rcpt a 550 5.1.1 nobody
rcpt b
C: RCPT TO:<c@%>
E
scene nextmail 2 <<'E'
hello
mail
rcpt b
rcpt c
data
end
quit
E
echo | letter nextmail a b c

play_scenes 'delivery { connections-per-domain 1 }; messages { per-connection 2 }'

failed size_small a '5.3.4 the message has * octets, and \[127.0.0.1\]:* takes no more than 100' 5.3.4
for i in size size-0 size-100000; do relayed fits-$i a; done
relayed eight a

# heard NAME: NAME.body is what it was told behind the Subject. SIZE= was that of all the content, less the dots.
heard() {
	relayed $1 a
	awk 'n && /^QUIT/ { exit } n; /^DATA/ { n = 1 }' $1.1.t.out >$1.got
	is "$(sed -n 's/^MAIL FROM:<s@here.example>\(.*\).$/\1/p' $1.1.t.out)" \
		" SIZE=$(sed '/^[.].$/d; s/^[.]//' $1.got | wc -c | tr -d ' ')" "$1: the parameters of MAIL"
	sed '1,/^Subject: /d' $1.got | tr -d '\r' >$1.body
	! grep '[^ -~]' $1.body >&2 || fail "$1: it is not 7-bit"
}
heard seven
printf '%s\n' 'Content-Transfer-Encoding: quoted-printable' 'MIME-Version: 1.0' 'Content-Type: text/plain; charset=unknown-8bit' '' \
	'gr=C3=BCn =3D =C3=BC' .. =2D- 'a blank=20' "$(printf '%073d=' 0)" "$(printf '%017d' 0)" . | diff - seven.body >&2 || fail 'seven'
heard seven_part
{ echo "$mixed"; echo; parts | sed 's/8bit$/quoted-printable/; s/^gr.*/gr=C3=BCn =3D =C3=BC/'; echo .; } | diff - seven_part.body >&2 ||
	fail 'seven_part'
heard seven_not
printf '%s\n' '' plain . | diff - seven_not.body >&2 || fail 'seven_not: it was 7-bit'
for i in header signed; do failed seven_$i a '5.6.3 \[127.0.0.1\]:* takes 7-bit text only*' 5.6.3; done
relayed seven_once a; relayed seven_then a

grep -qF ' relayed server="s" to=<\xc3\xbc@utf8.example> ' server.log || fail 'utf8'
grep -F 'to=<\xc3\xbc@utf8_no.example>' server.log | grep -q 'reason="5.6.7 .* does not know SMTPUTF8' || fail 'utf8_no'
report=$(grep -lF 'Final-Recipient: utf-8;ü@utf8_no.example' m/Drop/*.eml) && grep -q '^Status: 5.6.7' "$report" &&
	grep -q '^Content-Type: message/global-delivery-status' "$report" && grep -q '^x-sender-args: .*SMTPUTF8' "$report" ||
	fail 'utf8_no: no report in UTF-8'
relayed utf8_unused a
relayed binary a
failed binary_refused a '550 5.1.1 nobody' 5.1.1
failed binary_seven a '5.6.3 *' 5.6.3
failed binary_no a '5.6.3 *binary*' 5.6.3
failed binary_nor a '5.6.3 *binary*' 5.6.3

relayed dsn a
relayed dsn_no a
is "$(grep -lF 'Action: relayed' m/Drop/*.eml | wc -l | tr -d ' ')" 1 'reports of success'
report=$(grep -lF 'Action: relayed' m/Drop/*.eml)
for i in 'Original-Envelope-Id: x+y' 'Original-Recipient: rfc822;o+o@dsn_no.example' 'Final-Recipient: rfc822;a@dsn_no.example' \
    'Status: 2.0.0' 'Subject: dsn_no'; do
	grep -q "^$i.\$" "$report" || { cat "$report" >&2; fail "the report lacks $i"; }
done
! grep -q 'a secret' "$report" || fail 'the report has more than the header'
logged never failed a reason '550 5.1.1 nobody'
is "$(queued never)$(find m/Drop m/Badmail -type f -exec grep -l never.example {} +)" '' 'something is left of what nobody asks for'

relayed dots a
relayed edited a
awk 'n || /^DATA/ && ++n' edited.1.t.out >edited.got
printf 'DATA\r\nSubject: x\r\n\r\n\r\n..\r\n...x\r\na b \r\n\0\r\n..last\r\n.\r\nQUIT\r\n' >edited.want
cmp edited.got edited.want || { od -c edited.got >&2; fail 'the edited message went otherwise'; }

relayed rcptmax a; relayed rcptmax b
relayed mailmax 1
relayed mailmax 2
logged pair relayed a reply '250 2.0.0 taken'
deferred pair b '450 4.2.1 not this one'
logged pair relayed c reply '250 2.0.0 taken'
for i in 421 554; do relayed next$i a; done
failed nextmail a '550 5.1.1 nobody' 5.1.1
relayed nextmail b,c
stop_server
ok "$(ls ./*.t | wc -l) conversations"
