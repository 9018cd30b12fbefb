#!/bin/sh
# sendmail: whoever calls it by this name, with whatever flags, hears 0 and has a file in Pickup, whole, whether the server
# runs or not; or hears what is wrong, and has none.
. "${TEST:-$(dirname "$0")}/lib.sh"

cat >conf <<E
resolver 127.0.0.1:1
server first {
	general { listen 127.0.0.1:0; hostname mail.here.example; mailroot $T/m }
	messages { max-size 20K; max-recipients 5; extensions -DSN -CHUNKING }
	domain here.example default
	domain far.example alias
}
server second {
	general { listen 127.0.0.1:0; hostname mail.here.example; mailroot $T/second }
	domain here.example default
}
E
SMTPD_CONF=$T/conf; export SMTPD_CONF
me=$(id -un)
mkdir -p bin m/Pickup elsewhere
ln -s "$SMTPD" bin/sendmail
ln -s "$SMTPD" bin/newaliases
sendmail=$T/bin/sendmail

# What was sent, Date and Message-ID left out; and it is gone.
taken() {
	set -- m/Pickup/*
	[ -e "$1" ] || fail 'nothing was sent'
	[ $# = 1 ] || fail "there are $# in Pickup"
	tr -d '\r' <"$1" | sed '/^Date: ... */d; /^Message-ID: <[0-9A-Za-z-]*@mail.here.example>$/d'
	[ "$(tr -d '\n' <"$1" | tr -dc '\r' | wc -c)" -eq "$(wc -l <"$1")" ] || fail 'a line does not end in CR LF'
	rm "$1"
	is "$(ls -A m/Pickup)" '' 'a leftover in Pickup'
}
# sends WHAT FLAG ...: the envelope, in one line each; of a message from standard input.
sends() {
	what=$1; shift
	limit 10 ${WRAP-} "$sendmail" "$@" >out 2>&1; rc=$?
	is "$rc $(cat out)" '0 ' "$what: the status"
	taken >got || exit 1
	sed -n '/^Return-Path/q; s/^x-//p' got | tr '\n' ';'
}
# refused STATUS SENTENCE FLAG ...
refused() {
	status=$1 sentence=$2; shift 2
	limit 10 ${WRAP-} "$sendmail" "$@" >out 2>&1 && rc=0 || rc=$?
	is $rc "$status" "the status of: $*; $(cat out)"
	like "$(cat out)" "$sentence" "what is said to: $*"
	is "$(ls -A m/Pickup)" '' 'a leftover in Pickup'
}
letter() { printf 'From: x@y.example\nTo: to@y.example, root\nBcc: hidden@y.example\nSubject: s\n\nbody\n'; }

# --- the vectors that programs are known to have; with what they give on standard input ---

header='receiver: to@y.example;receiver: root@here.example;receiver: hidden@y.example;'
anyone="sender: $me@here.example;"
to='receiver: a@b.example;' two='receiver: a@b.example;receiver: c@d.example;'
bounce='sender: bounce@y.example;'
while IFS='|' read -r who flags want; do
	set -f; set -- $flags; set +f
	is "$(letter | sends "$who" "$@")" "$want" "$who"
	like "$(tail -n 2 got | tr '\n' '/')" '/body/' "$who: the body"
	! grep -q 'Bcc\|hidden' got || grep '^x-receiver: hidden' got >/dev/null || fail "$who: Bcc is there"
	! grep -q '^Bcc' got || fail "$who: Bcc is there"
done <<E
PHP|-t -i|$anyone$header
PHP with a sender|-t -i -fbounce@y.example|$bounce$header
php.ini and the script|-t -i -fother@y.example -fbounce@y.example|$bounce$header
bsd-mailx|-i -t|$anyone$header
bsd-mailx -r|-i -t -f bounce@y.example|$bounce$header
mailutils|-oi -f root@host.example -t|sender: root@host.example;$header
s-nail|-i -- a@b.example|$anyone$to
s-nail -r|-i -f bounce@y.example -- a@b.example|$bounce$to
mutt|-oem -oi -- a@b.example c@d.example|$anyone$two
mutt, all|-oem -oi -f bounce@y.example -B8BITMIME -N failure,delay -R hdrs -- a@b.example|sender: bounce@y.example;sender-args: RET=hdrs BODY=8BITMIME;${to}receiver-args: NOTIFY=failure,delay;
git|-i a@b.example c@d.example|$anyone$two
git with a sender|-f bounce@y.example -i a@b.example|$bounce$to
cron|-FCronDaemon -i -B8BITMIME -oem a@b.example|${anyone}sender-args: BODY=8BITMIME;$to
at|-i root|${anyone}receiver: root@here.example;
logwatch|-t|$anyone$header
Ruby, Perl|-i -f bounce@y.example -- a@b.example|$bounce$to
nodemailer|-i -f bounce@y.example a@b.example hidden@y.example|$bounce${to}receiver: hidden@y.example;
PHPMailer|-oi -fbounce@y.example -t|$bounce$header
Symfony|-t -fbounce@y.example|$bounce$header
msmtp and its like|-C $T/conf -v --read-envelope-from -i -X /dev/null -t|$anyone$header
DSN|-V ENV+2Bid -R full -N never a@b.example|${anyone}sender-args: RET=full ENVID=ENV+2Bid;${to}receiver-args: NOTIFY=never;
-r is -f, the last one wins|-f no@y.example -r bounce@y.example a@b.example|$bounce$to
no sender|-f <> a@b.example|sender: <>;$to
a bare sender|-f joe a@b.example|sender: joe@here.example;$to
flags together|-itfbounce@y.example|$bounce$header
what is passed over|-bm -m -n -x -G -U -v -odb -oQ/tmp -O DeliveryMode=b -Oa=b -em -e -h 9 -L tag -Ltag -Am -d0.1 -D log -M a=b -Jx -Z99 -Eq a@b.example|$anyone$to
-t adds to those named|-t a@b.example TO@y.example|$anyone${to}receiver: TO@y.example;$header
a list|-i a@b.example,c@d.example|$anyone$two
the same one twice|a@b.example c@d.example a@B.example|$anyone$two
E
is "$(letter | sends 'an empty -f' -f '' a@b.example)" "sender: <>;$to"
is "$(letter | sends 'names' 'A. "B" <a@b.example>, G: c@d.example;')" "$anyone$two"
# A parameter is a recipient's, or the message's, whatever the server offers to others.
is "$(printf 'To: a@b.example\n\n\303\244\n' | sends 'eight bits' -t)" "${anyone}sender-args: BODY=8BITMIME;$to"
is "$(printf 'To: a@b.example\n\n\303\244\n' | sends 'eight bits, and it was not said' -B 7BIT -R full -t)" \
    "${anyone}sender-args: RET=full BODY=8BITMIME;$to"
ok 'vectors'

# --- what it looks like then ---

letter_is() { is "$(sed '1,/^Return-Path/d' got)" "$1" "$2"; }

printf 'Subject: Output of your job\nTo: root\n\njob\n' | sends at -f root -F '' -i root >/dev/null
letter_is 'From: root@here.example
Subject: Output of your job
To: root@here.example

job' 'From and domains'
printf 'From: root (Cron Daemon)\nTo: root\nSubject: Cron <root@host> date\nX-Cron-Env: <SHELL=/bin/sh>\n\nMon\n' |
	sends cron -FCronDaemon -i -B8BITMIME -oem root >/dev/null
letter_is 'From: root@here.example (Cron Daemon)
To: root@here.example
Subject: Cron <root@host> date
X-Cron-Env: <SHELL=/bin/sh>

Mon' 'From stays'
echo 'hello' | sends 'no header' -f me@y.example a@b.example >/dev/null
letter_is 'From: me@y.example

hello' 'no header'
printf 'From joe Mon Nov 23 10:00:00 2026\r\nSubject: s\r\n\r\nhello\r\nFrom here\r\n' | sends 'from a mailbox' -f me@y.example -F 'Joe "J" Doe' a@b.example >/dev/null
letter_is 'From: "Joe \"J\" Doe" <me@y.example>
Subject: s

hello
From here' 'from a mailbox'
echo | sends 'a foreign name' -f me@y.example -F "$(printf 'J\303\266rg\nBcc: x')" a@b.example >/dev/null
letter_is 'From: =?utf-8?q?=4A=C3=B6=72=67=20=42=63=63=3A=20=78?= <me@y.example>' 'a foreign name'
echo | sends 'a long one' -f me@y.example -F "$(printf '%.0s\303\266' 1 2 3 4 5 6 7 8 9 10 11 12)" a@b.example >/dev/null
is "$(awk '/utf-8/ { n++; if (length($0) > 76 || !/=B6\?=/) print }  END { print n }' got)" 2 'encoded words'
# Its own Date and Message-ID stay; what it lacks is there, once.
printf 'Date: D\nMESSAGE-ID: <i>\nTo: a@b.example\n\n' | "$sendmail" -t || fail 'own Date'
is "$(tr -d '\r' <"$(ls m/Pickup/*)" | grep -ci '^date\|^message-id')" 2
rm m/Pickup/*
echo | "$sendmail" a || fail 'no Date'
is "$(grep -c '^Date: [MTWFS].. *\|^Message-ID: <.*@mail.here.example>' m/Pickup/*)" 2
rm m/Pickup/*
# Of a message that was sent on, only the new recipients.
is "$(printf 'Resent-To: r\nResent-Bcc: s\nTo: no@y.example\nFrom: a@b.example\n\n' | sends 'sent on' -t)" \
    "${anyone}receiver: r@here.example;receiver: s@here.example;"
! grep -q Bcc got || fail 'Resent-Bcc'
# X-Sender is a field like others, and so is Return-Path.
is "$(printf 'X-Sender: x@y.example\nX-Receiver: z@y.example\nReturn-Path: <p@y.example>\nTo: a@b.example\n\n' | sends 'x-' -t)" "$anyone$to"
letter_is "From: $(sed -n 's/^From: //p' got)
X-Sender: x@y.example
X-Receiver: z@y.example
Return-Path: <p@y.example>
To: a@b.example" 'x-'
ok 'completed'

# --- a dot ---

dots() { printf 'A: b\n\none\n.two\n..\n.\nthree\n'; }
dots | sends 'a dot ends it' a >/dev/null
is "$(tail -n 4 got)" "$(printf '\none\n.two\n..')" 'a dot ends it'
for i in -i -oi; do
	dots | sends 'a dot does not' $i a >/dev/null
	is "$(tail -n 3 got)" "$(printf '..\n.\nthree')" "$i"
done
printf 'A: b\r\n\r\none\r\n.\r\nthree\r\n' | sends 'CR LF' a >/dev/null
is "$(tail -n 1 got)" one
printf 'A: b\n\none\n.' | sends 'a dot is the last octet' a >/dev/null
is "$(tail -n 1 got)" one
# A person at a keyboard: it ends while standard input does not.
mkfifo keys
exec 4<>keys
printf 'hello\n.\nno\n' >keys
sends 'while more might come' a <keys >/dev/null
exec 4<&-
is "$(tail -n 1 got)" hello
ok 'dots'

# --- what is wrong ---

refused 65 '*nobody to send to*' </dev/null
refused 65 '*no recipients*' -t </dev/null
refused 65 "*'a b' cannot be sent to*no address*" 'a b' </dev/null
printf 'To: Peter Pan\n\n' | refused 65 '*no address*' -t
refused 65 "*'a b' is no sender*" -f 'a b' a </dev/null
refused 65 '*max-recipients*' a b c d e f </dev/null
awk 'BEGIN { for (i = 0; i < 2600; i++) print "1234567" }' | refused 65 '*20480 octets at most*' a
awk 'BEGIN { for (i = 0; i < 2500; i++) print "1234567" }' | refused 65 '*20480 octets at most*' a   # with CR LF
printf 'Received: a\n%.0s' 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32 33 34 35 36 37 38 39 40 |
	cat - /dev/null | refused 65 '*max-hops*' a
for i in -f -b -B -C -F -h -L -N -O -r -R -V -X; do refused 64 "*$i has no value*" $i </dev/null; done
for i in '-N sometimes' '-N never,delay' '-N success,success' '-N a=b' '-R some' '-R' '-V +2' '-B 9BIT' '-B BINARYMIME'; do
	refused 64 "*${i%% *} cannot have that value" $i a </dev/null
done
refused 64 '*-V cannot have*' -V 'a SMTPUTF8 b' a </dev/null
refused 64 '*-V cannot have*' -V "$(printf 'a\nx-receiver: b')" a </dev/null
for i in -bd -bt -bv -bz; do refused 64 "*$i is not for this sendmail*" $i </dev/null; done
refused 64 '*flags come first*' a -f b </dev/null
"$sendmail" a <&- >out 2>&1 && fail 'without standard input' || is $? 74 'without standard input'
refused 74 '*standard input*' a <elsewhere
echo 'nonsense' >wrong
refused 78 '*wrong:1*' -C wrong a </dev/null
refused 78 '*no.such*' -C no.such a </dev/null
sed "s,mailroot .*/m ,mailroot $T/none ," conf >none.conf
refused 73 "*$T/none/Pickup: *the server makes it*" -C none.conf a </dev/null
sed "s,mailroot .*/m ,mailroot none ," conf >none.conf
refused 73 '*none/Pickup: *begins with /*' -C none.conf a </dev/null
is "$("$sendmail" -q)" 'The server runs its queue by itself; SIGUSR1 has it try all of it now.'
for i in -q15m '-bi' '-qRexample'; do "$sendmail" $i >out 2>&1 </dev/null || fail "$i: $?"; done
bin/newaliases >out 2>&1 || fail "newaliases: $?"
is "$(cat out)" ''
case ${SMTPD##*/} in
smtpd-test*)
	for i in 'open 1 ENOSPC 75' 'write 1 ENOSPC 75' 'write 2 EDQUOT 75' 'sync 1 EIO 75' 'rename 1 ENOSPC 75' 'sync 2 EIO 75' \
	    'space 1 ENOSPC 75' 'open 1 EACCES 77' 'open 1 EROFS 73' 'open 1 EMFILE 75'; do
		FAULT=${i% *}; export FAULT
		letter | refused "${i##* }" '*Pickup: *' -t || exit 1
		[ ! -e failed ] || exit 1
	done
	unset FAULT
	i=0
	while i=$((i + 1)); do
		FAULT_MEMORY=$i; export FAULT_MEMORY
		letter | limit 10 ${WRAP-} "$sendmail" -N never -F 'J. D.' -t >out 2>&1 && break
		rc=$?
		case $rc in 71 | 75 | 78) ;; *) fail "without memory, call $i: $rc $(cat out)" ;; esac
		is "$(ls -A m/Pickup)" '' 'a leftover in Pickup'
	done
	unset FAULT_MEMORY
	[ $i -gt 20 ] || fail "only $i calls of memory"
	rm m/Pickup/*
esac
[ ! -e failed ] || exit 1
ok 'refusals'

# --- no more rights than to add a file, for its folder's group; whatever our umask ---

if [ "$(id -u)" = 0 ] && setpriv --reuid 23456 --regid 23456 --clear-groups true 2>/dev/null; then
	chmod 755 . m; chmod 2730 m/Pickup; chgrp 12345 m/Pickup
	chmod a+r conf
	rm bin/sendmail; cp "$SMTPD" bin/copy; ln -s copy bin/sendmail
	as() { who=$1; shift; setpriv --reuid 23456 --regid 23456 --groups "$who" "$@"; }
	if as 12345 test -x "$T/bin/copy"; then
		letter | (umask 077; as 12345 "$sendmail" a@b.example) || fail "one of the group: $?"
		is "$(ls -ln m/Pickup | awk 'NF > 3 { print $1, $3, $4 }')" '-rw-r----- 23456 12345'
		is "$(taken | sed -n 's/^x-sender: //p')" 'uid23456@here.example'
		case ${SMTPD##*/} in
		smtpd-test*)    # the folder cannot be synced by who cannot open it; the file is, under its new name
			letter | FAULT='sync 2 EIO' setpriv --reuid 23456 --regid 23456 --groups 12345 "$sendmail" a 2>out && fail 'sync 2' || is $? 75
			is "$(ls -A m/Pickup)" '' 'a leftover in Pickup' ;;
		esac
		letter | as 23456 "$sendmail" a@b.example 2>out && fail 'a stranger may send' || is $? 77
		like "$(cat out)" '*Pickup: Permission denied*'
		# With rights of its own it goes where it was installed for, not where the caller says.
		chgrp 12345 bin/copy; chmod 2755 bin/copy
		letter | as 23456 "$sendmail" a@b.example 2>out && fail 'another configuration' || rc=$?
		like "$(cat out)" '*rights*'
		grep LeakSanitizer out >/dev/null || is $rc 77         # which cannot look at such a process
		ok 'rights'
	fi
	chmod 700 m/Pickup
	rm bin/*
	ln -s "$SMTPD" bin/sendmail
fi

# --- one session ---

cat >said <<'E'
EHLO client.example
MAIL FROM:<joe> BODY=8BITMIME
RCPT TO:<to@elsewhere.example>
RCPT TO:<to@far.example>
DATA
Subject: s
Bcc: is the sender's affair

..x
..
.
MAIL FROM:<>
RCPT TO:<root>
DATA
Subject: second

.
NONSENSE
QUIT
E
session() {
	limit 10 ${WRAP-} "$@" >out 2>err || fail "-bs: $?"
	is "$(cat err)" '' 'on standard error'
	is "$(tr -d '\r' <out | sed '/^250-/d; s/ .*//' | tr '\n' ' ')" \
	    '220 250 250 250 250 354 250 250 250 354 250 500 221 ' 'the replies'
	is "$(ls m/Pickup/*.eml | wc -l | tr -d ' ')$(ls -A m/Pickup | grep -c '^\.')" 20 'two files'
	for i in m/Pickup/*.eml; do
		grep "$(basename "$i" .eml) queued" out >/dev/null || fail "$i was not promised"
	done
	is "$(cat m/Pickup/* | tr -d '\r' | sed '/^Received/,/^	[A-Z]/d')" 'x-sender: joe@here.example
x-sender-args: BODY=8BITMIME
x-receiver: to@elsewhere.example
x-receiver: to@far.example
Return-Path: <joe@here.example>
Subject: s
Bcc: is the sender'"'"'s affair

.x
.
x-sender: <>
x-receiver: root@here.example
Return-Path: <>
Subject: second' 'two messages'
	rm m/Pickup/*
}
# The offers of this server, in lines of either end, pipelined or not; by any of its names.
sed 's/extensions -DSN -CHUNKING//' conf >conf.new
mv conf.new conf
session "$sendmail" -bs <said
session "$sendmail" -bs -i <said
awk '{ printf "%s\r\n", $0 }' said >crlf
session "$SMTPD" -bs <crlf
session "$SMTPD" sendmail -bs <crlf
(cat said) | session "$sendmail" -bs
while read -r line; do echo "$line"; sleep 0.02 2>/dev/null; done <said | session "$sendmail" -bs

# Cut off, and one who does not listen: nothing is left; and a full disk is told.
sed 10q said | "$sendmail" -bs >out || fail "cut off: $?"
like "$(tail -n 1 out)" '451 *'
is "$(ls -A m/Pickup)" '' 'cut off: a leftover'
exec 4<>keys
spawn half $SH -c 'exec "$1" -bs <keys' half "$sendmail"
sed 9q said >keys
wait_for '[ -n "$(ls -A m/Pickup)" ]'
end half TERM 5 || fail 'it survives TERM'
exec 4<&-
is "$rc$(ls -A m/Pickup)" 0 'a leftover of TERM'
like "$(tail -n 1 half.log)" '421 *'
case ${SMTPD##*/} in
smtpd-test*)
	is "$(FAULT='sync 1 ENOSPC' "$sendmail" -bs <said | tr -d '\r' | grep -c '^452 4.3.1')" 1 'a full disk'
	is "$(ls m/Pickup/*.eml | wc -l | tr -d ' ')$(ls -A m/Pickup | grep -c '^\.')" 10 'a full disk'
	rm m/Pickup/*
esac
ok 'sessions'

# --- as large as may be, and nobody has served it yet: the server begins, and takes it ---

{ printf 'EHLO c\nMAIL FROM:<large>\nRCPT TO:<a>\nRCPT TO:<b>\nBDAT 20480 LAST\n'; awk 'BEGIN { for (i = 0; i < 1280; i++) printf "12345678901234\r\n" }'; } >large
is "$("$sendmail" -bs <large | grep -c queued)" 1 'the largest'
letter | "$sendmail" -i -f a@here.example here@far.example || fail $?
start_server conf
letter | "$sendmail" -i -f b@here.example there@far.example || fail $?
wait_for '[ "$(messages m/Drop | wc -l)" -eq 3 ]'
is "$(cat m/Drop/* | tr -d '\r' | sed -n 's/^x-receiver: //p' | sort | tr '\n' ' ')" \
    'a@here.example b@here.example here@far.example there@far.example '
is "$(messages m/Badmail)$(messages m/Pickup)" ''
is "$(grep -c 'with=pickup' server.log)" 3
stop_server
