#!/bin/sh
# Goal: the rights of root end before anybody is heard.
# - closed descriptors are no file's; another user and chroot need root, and that is said;
# - as root: not without being told; the user of the file, or of -u, is who runs, with no group besides, and nothing can
#   bring root back; a mailroot is made for him, one that is not his is refused; with chroot all of it is inside;
#   names, numbers, and what is neither.
. "${TEST:-$(dirname "$0")}/lib.sh"
# LeakSanitizer wants to look at itself by /proc, which is not for those who were root or cannot see it.
ASAN_OPTIONS=${ASAN_OPTIONS-}:detect_leaks=0; export ASAN_OPTIONS
umask 022

conf() { name=$1; shift; { printf '%s\n' 'resolver 127.0.0.1:1' "$@"; cat <<E
server $name {
    general { listen 127.0.0.1:0; hostname mail.example.org; mailroot $name }
    domain example.org default
}
E
} >$name.conf; }
mail() { printf '%s\n' 'HELO c' 'MAIL FROM:<a@example.com>' 'RCPT TO:<b@example.org>' DATA 'Subject: x' '' . QUIT | say | grep -c '^250 2.6.0'; }
# ends STATUS SAYS COMMAND ...: and leaves no mailroot.
ends() {
	status=$1 says=$2; shift 2
	limit 10 "$@" >ended.log 2>&1; rc=$?
	is "$rc" "$status" "the status of: $*"
	grep -q -- "$says" ended.log || { cat ended.log; fail "it does not say: $says"; }
}

# Without standard descriptors: mail is whole, and nobody else's words are in it.
conf shut
mkdir -p shut/Pickup
spawn shut "$SH" -c 'exec "$@" <&- >&- 2>&-' shut ${WRAP-} "$SMTPD" -v -f shut.conf $ME
printf 'From: a@example.org\nTo: b@example.org\nSubject: x\n\nHi.\n' >shut/note && mv shut/note shut/Pickup/
wait_for 'ls shut/Drop/*.eml >/dev/null 2>&1' 10
is "$(sed '1,/^Subject/d' shut/Drop/*.eml | tr -d '\r' | grep -v '^[A-Z][a-z-]*[:D]')" "
Hi." 'the message'
is "$(find shut -type f -exec grep -l 'listening\|delivered' {} +)" '' 'files with our log in it'
end shut TERM 10 || fail 'it does not end'
is "$rc" 0 'the status without standard descriptors'

# Who is not root.
cp "$SMTPD" ./server-copy
if [ "$(id -u)" = 0 ]; then
	need chroot
	common() { ends "$1" "$2" chroot --userspec=54321:54322 / "$SH" -c 'cd "$0" && exec "$@"' "$T" ./server-copy -f "$3.conf" $4; }
else
	common() { ends "$1" "$2" ./server-copy -f "$3.conf" $4; }
fi
conf other 'user 54320'
common 77 'only root can become another user' other ''
common 77 'only root can become another user' shut '-u root'
conf jailed 'chroot jail'
common 77 'chroot: only root can do that' jailed ''
is "$(ls -d other jailed 2>/dev/null)" '' 'mailroots of those who could not'

conf wrong 'user "no such"'
ends 78 "^wrong.conf:2: user: 'no such': there is no such user" "$SMTPD" -n -f wrong.conf
ends 78 '^smtpd: -u 1:no-such: there is no such group' "$SMTPD" -f shut.conf -u 1:no-such
ends 78 '^smtpd: -u 4294967295: there is no such user' "$SMTPD" -f shut.conf -u 4294967295
conf empty 'user ""'
ends 78 '^empty.conf:2: user: is empty' "$SMTPD" -f empty.conf

[ "$(id -u)" = 0 ] || skip 'the rest needs root'
[ -r /proc/self/status ] || skip 'the rest needs /proc'

ends 77 'will not serve as root: name a user to become' "$SMTPD" -f shut.conf
ends 77 'will not serve as root: name a user to become' "$SMTPD"
is "$(ls -d mailroot 2>/dev/null)" '' 'a mailroot of nobody'

# runs_as UID GID: the server, in every of its ids.
ids() { sed -n "s/^$1:[[:space:]]*//p" "/proc/$(cat server.pid)/status" | tr '\t' ' ' | sed 's/ *$//'; }
runs_as() {
	is "$(ids Uid)" "$1 $1 $1 $1" 'user ids'
	is "$(ids Gid)" "$2 $2 $2 $2" 'group ids'
	is "$(ids Groups)" "$2" 'groups'
	is "$(ids CapEff)$(ids CapPrm)" 00000000000000000000000000000000 'capabilities'
}
owned() { is "$(find "$1" ! \( -user "$2" -group "$3" \) | sort)" '' "what in $1 is not of $2:$3"; }

ME=
conf numbers 'user 54321:54322'
start_server numbers.conf
runs_as 54321 54322
is "$(mail)" 1 'mail by numbers'
wait_for 'ls numbers/Drop/*.eml >/dev/null 2>&1'
owned numbers 54321 54322
is "$(find numbers ! -type s -perm -4)" numbers 'what others can read: the mailroot itself, for its socket'
stop_server
# The same mail again, as somebody else: it is not his. The option outweighs the file; a number is group enough.
ends 69 'numbers' "$SMTPD" -f numbers.conf -u 54323
grep -q 'running as user 54323, group 54323$' ended.log || fail '-u does not outweigh the file'

if id nobody >/dev/null 2>&1; then
	conf names "user nobody:$(id -gn nobody)"
	start_server names.conf
	runs_as "$(id -u nobody)" "$(id -g nobody)"
	is "$(mail)" 1 'mail by names'
	stop_server
fi
conf root 'user root'
start_server root.conf
is "$(ids Uid)" '0 0 0 0' 'who may be root'
stop_server
start_server root.conf -u root
is "$(mail)" 1 'mail as root'
stop_server

# All of it inside, the hosts file too; the mailroot's path begins there. What it was told to read again it looks for
# inside as well.
mkdir -p jail/run jail/etc
conf jailed 'chroot jail' 'user 54321:54322'
sed -i.old 's|mailroot jailed|mailroot run/mail|' jailed.conf
start_server jailed.conf
runs_as 54321 54322
is "$(readlink "/proc/$(cat server.pid)/root")" "$T/jail" 'its root'
is "$(mail)" 1 'mail inside'
wait_for 'ls jail/run/mail/Drop/*.eml >/dev/null 2>&1'
owned jail/run/mail 54321 54322
is "$(ls run 2>/dev/null)" '' 'outside'
kill -s HUP "$(cat server.pid)"
wait_for 'grep -q "^jailed.conf: No such file" server.log'
cp jailed.conf jail/
kill -s HUP "$(cat server.pid)"
wait_for 'grep -q "configuration was read again" server.log'
is "$(mail)" 1 'mail after a reload inside'
stop_server
sed 's/chroot jail/chroot nowhere/' jailed.conf >nowhere.conf
ends 71 'chroot nowhere: No such file' "$SMTPD" -f nowhere.conf
ok
