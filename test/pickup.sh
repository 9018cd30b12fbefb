#!/bin/sh
# pickup: files that others drop. Whole ones become mail, once; unfinished ones are waited for; strangers are left
# alone; broken ones are set aside with a reason; and no name that somebody chose becomes one of ours.
. "${TEST:-$(dirname "$0")}/lib.sh"

cat >conf <<'E'
server s {
	general { listen 127.0.0.1:0; hostname mail.here.example; mailroot m }
	messages { max-size 10K }
	domain here.example default
}
E
CLOCK_FILE=$T/clock; export CLOCK_FILE
echo 0 >clock
mkdir out
P=m/Pickup

letter()  { printf 'From: a@here.example\nTo: b@here.example\nSubject: %s\n\nbody of %s.\n' "$1" "$1"; }
in_drop() { find m/Drop -name '*.eml' -exec grep -l "body of $1\\." {} + | wc -l | tr -d ' '; }
# By rename, and seen to be: where clocks are coarse a file just written looks like one that was not moved.
put()     { touch -t 200001010000 out/*; mv out/* "${1:-$P}"; }

start_server conf

# --- strangers, and what is not finished: written in place ---

letter linked >elsewhere
ln -s "$T/elsewhere" $P/symlink
ln elsewhere $P/hardlink
mkfifo $P/fifo
mkdir "$P/$(printf 'a\033[31m\ndirectory')"
letter temporary >$P/busy.tmp
letter temporary >$P/busy.TMP
letter hidden >$P/.hidden
for i in 1 2; do letter left >$P/.20250102T030405-0000$i-0000000a.tmp; done; letter other >$P/.other.tmp
touch -t 202501020304 $P/.20250102T030405-00001-0000000a.tmp $P/.other.tmp
letter inplace >$P/inplace
letter half | sed '/^$/,$d' >$P/half            # it has no empty line yet
: >$P/empty
if command -v flock >/dev/null; then
	exec 9>>$P/locked
	flock -n 9 9>&9                         # ksh would not hand it on
	letter locked >&9
	lock=1
fi

# --- by rename: many; with names that mean something to somebody; with envelopes of all sorts; broken ones ---

i=0
while [ $i -lt 300 ]; do
	i=$((i + 1))
	letter "many $i" >out/$i
done
put
odd=0
for i in 'a b;$(touch pwned)`touch pwned`' "$(printf 'new\nline')" "$(printf 'esc\033[31m')" -rf '%s%n%d' \
    "$(printf '\377\376')" '"quoted" \ back' m.eml "$(printf '%0255d' 0)"; do
	odd=$((odd + 1))
	letter "odd $odd" >out/letter
	put "$P/$i"
done
letter broken | sed 1d >out/letter
put "$P/$(printf 'broken\n\033[31m')"
printf '%s\n' 'X-Sender: bounces@here.example' 'X-Receiver: c@here.example' 'From: a@here.example' 'Bcc: no@here.example' '' \
    'body of net.' >out/net
printf 'From: a@here.example\nBcc: secret@here.example,\n secret2@here.example\nCc: open\n\nbody of bcc.\n' >out/bcc
letter nofrom | sed 1d >out/nofrom
letter norecipient | sed 2d >out/norecipient
letter badaddress | sed '2s/.*/To: a b@c/' >out/badaddress
{ letter large; awk 'BEGIN { for (i = 0; i < 11264 / 8; i++) print "1234567" }'; } >out/large
broken=5
if [ "$(id -u)" != 0 ]; then
	letter unreadable >out/unreadable
	chmod 0 out/unreadable
	broken=6
fi
put

# --- what has become of them ---

letter growing >$P/growing
# It is left alone if it is not itself left alone for 2 s, which on a machine that has much to do we cannot promise.
seconds() { awk 'BEGIN { srand(); print srand() }'; }
begun=$(seconds) last=$begun more=0 steady=1
while [ $((last - begun)) -lt 4 ]; do
	sleep 0.2 2>/dev/null || sleep 1
	echo more >>$P/growing
	more=$((more + 1)) before=$last last=$(seconds)
	[ $((last - before)) -lt 2 ] || steady=
done
[ -z "$steady" ] || is "$(in_drop growing)" 0 'a file that grows was taken'
wait_for "[ \"\$(in_drop 'many .*')\" = 300 ]"
wait_for "[ \"\$(in_drop 'odd .*')\" = $odd ]"
wait_for "[ \"\$(ls m/Badmail | grep -c eml)\" = $broken ]"
wait_for '[ "$(in_drop inplace)" = 1 ]'
[ -z "${lock-}" ] || { is "$(in_drop locked)" 0 'a file that is locked was taken'; exec 9>&-; }
wait_for '[ "$(in_drop growing)" = 1 ]'
[ -z "$steady" ] || is "$(cat $(grep -l 'body of growing' m/Drop/*) | grep -c more)" $more 'it was not whole'
ok 'renamed in, or written and left in peace'

[ ! -e pwned ] || fail 'a name was taken for a command'
is "$(ls m/Drop m/Badmail | grep -v '^m/.*:$' | grep . |
	grep -v '^[0-9]\{8\}T[0-9]\{6\}-[0-9]\{5\}-[0-9a-f]\{8\}\.[et][mx][lt]$')" '' 'a name of somebody else'
is "$(cat m/Badmail/*.txt server.log | tr -d ' -~\t\n')" '' 'control characters in the log, or in a reason'
ok 'odd names'

net=$(grep -l 'body of net' m/Drop/*) bcc=$(grep -l 'body of bcc' m/Drop/*)
is "$(tr -d '\r' <"$net" | sed '/^Received/,/^Message-ID/d')" 'x-sender: bounces@here.example
x-receiver: c@here.example
Return-Path: <bounces@here.example>
From: a@here.example

body of net.'
is "$(tr -d '\r' <"$bcc" | sed '/^Received/,/^Message-ID/d')" 'x-sender: a@here.example
x-receiver: secret@here.example
x-receiver: secret2@here.example
x-receiver: open@here.example
Return-Path: <a@here.example>
From: a@here.example
Cc: open

body of bcc.'
is "$(tr -d '\r' <"$bcc" | sed -n '/^Received/,/^Message-ID/s/[:,].*//p')" "$(printf 'Received\n\t%s\nDate\nMessage-ID' \
    "$(tr -d '\r' <"$bcc" | sed -n 's/^Date: \(...\),.*/\1/p')")"
ok 'envelopes'

reason() {
	file=$(grep -l "$1 in Pickup" m/Badmail/*.txt) || fail "$1 was not set aside"
	grep "set aside: .*$2" "$file" >/dev/null || fail "the reason for $1 is another: $(cat "$file")"
	[ -e "${file%.txt}.eml" ] || fail "there is a reason, and no $1"
}
reason 'broken.*31m' 'no From'
reason badaddress 'no address'
reason norecipient 'no recipients'
reason large 'max-size'
[ $broken = 5 ] || reason unreadable 'read permission'
reason nofrom 'no From'
{ echo 'From: a@here.example'; cat "${file%.txt}.eml"; } >out/mended
cp "$net" out/again
put
wait_for '[ "$(in_drop nofrom)" = 1 ]'
# A file of our own, wherever it lay, is sent again as it is, with one more trace field of two lines.
wait_for '[ "$(in_drop net)" = 2 ]'
for i in $(grep -l 'body of net' m/Drop/*); do [ "$i" = "$net" ] || again=$i; done
is "$(grep -c . "$again")" $(($(grep -c . "$net") + 2))
ok 'set aside, mended, sent again'

# --- afterwards ---

[ -L $P/symlink ] && [ -e $P/hardlink ] && [ -p $P/fifo ] && [ -e $P/busy.tmp ] && [ -e $P/busy.TMP ] && [ -e $P/.hidden ] ||
	fail 'a stranger is gone'
[ ! -e $P/.20250102T030405-00001-0000000a.tmp ] || fail 'what a killed sendmail left is there'
is "$(grep -c 'Pickup: .20250102T030405-00001-0000000a.tmp is removed: ' server.log)" 1 'said so'
is "$(in_drop linked) $(in_drop temporary) $(in_drop hidden)" '0 0 0'
for i in symlink hardlink fifo directory; do
	is "$(grep -c "$i is left alone" server.log)" 1 "$i should be mentioned once"
done
[ -z "${lock-}" ] || wait_for '[ "$(in_drop locked)" = 1 ]'
is "$(in_drop half)" 0 'a file without a body was taken'
case ${SMTPD##*/} in
smtpd-test*)                                    # a minute later they are as they will ever be
	echo 70 >clock
	wait_for '[ ! -e m/Pickup/half ] && [ ! -e m/Pickup/empty ]'
	wait_for '[ -n "$(grep -l "^Subject: half" m/Drop/*)" ]'
	reason empty 'no From' ;;
*)	rm $P/half $P/empty ;;
esac
left=0
for i in $P/* $P/.[!.]*; do [ ! -e "$i" ] || left=$((left + 1)); done
is $left 9 "in Pickup are $(ls -a $P)"
is "$(ls m/SortTemp m/Queue | grep eml)" ''
stop_server
