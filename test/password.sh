#!/bin/sh
# Goal: `smtpd password' keeps the file of accounts, and nothing else happens to it.
# - one is added, changed, removed, listed; the file is made for its owner alone; links stay links, a mode is kept;
# - all other octets stay: comments, empty lines, lines that are wrong, a last one without an end;
# - but for the key that tells those who have no account what to see: one is added where there is none;
# - of a password only a verifier is written; names and passwords that cannot be are refused, and so is what is wrong on
#   the command line, with nothing written; two at once do not meet;
# - the file is that of the setting `passwords', of the one server that has it or that -S names;
# - `smtpd check' counts the accounts and finds the mistakes.
. "${TEST:-$(dirname "$0")}/lib.sh"

# password STATUS ARG ...: with its standard input; out and err are what it said.
password() {
	want=$1; shift
	"$SMTPD" -f conf password "$@" >out 2>err; got=$?
	[ $got = "$want" ] || { cat out err >&2; fail "status $got, not $want: $*"; }
}
says() { grep -qF -- "$1" err || { cat err >&2; fail "it does not say: $1"; }; }
mode() { ls -lL "$1" | cut -c 1-10; }
# wrong STATUS WORDS PASSWORD ARG ...: it says so, and writes nothing.
wrong() {
	status=$1 words=$2 line=$3; shift 3
	cp accounts before
	printf '%s\n' "$line" | password "$status" "$@"; says "$words"
	cmp -s accounts before || fail "it was written: $*"
	[ ! -e accounts.new ] || fail "left something behind: $*"
}

cat >conf <<'E'
resolver 127.0.0.1:1
server one { general { listen 127.0.0.1:0; mailroot one }; access { passwords accounts; clear-text-passwords yes }; domain one.example default }
E

# --- one after the other ---

umask 022
echo pencil | password 0 alice; says "accounts: 'alice' is added"
is "$(mode accounts)" -rw------- 'the mode of a new one'
grep -qE '^alice:SCRAM-SHA-256\$4096:[A-Za-z0-9+/]{22}==\$[A-Za-z0-9+/]{43}=:[A-Za-z0-9+/]{43}=$' accounts || fail "no verifier: $(cat accounts)"
printf 'one\r\nthis is not read\n' | password 0 -i 10000 'bob smith'
printf 'without an end' | password 0 Müller@example.com
grep -q '^bob smith:SCRAM-SHA-256\$10000:' accounts || fail 'the iterations'
! grep -v '^#key:' accounts | grep -qE 'pencil|one|end' || fail 'a password is in the file'
is "$(grep -cE '^#key:[A-Za-z0-9+/]{43}=$' accounts)" 1 'the key of those who have no account'
password 0 </dev/null
is "$(cat out)" 'alice
bob smith
Müller@example.com' 'the list'

{ echo '# mine'; echo; echo 'alice smith:x'; cat accounts; printf ' bob smith:\r\nlast, without an end'; } >with; cat with >accounts
chmod 640 accounts; mv accounts real; ln -s real accounts
grep '^alice:' accounts >first
echo pencil | password 0 alice; says "'alice' has another password now"
! grep -qxF -- "$(cat first)" accounts || fail 'it has the same salt'
for file in with accounts; do grep -v '^alice:' "$file" >"$file.rest"; done
cmp -s with.rest accounts.rest || fail 'other lines were changed'
is "$(sed -n 5p accounts | cut -c 1-6)" alice: 'its place'
[ -h accounts ] || fail 'the link is none any more'
is "$(mode accounts)" -rw-r----- 'the mode of an old one'
echo x | password 0 carol
is "$(tail -n 2 accounts | cut -c 1-20)" 'last, without an end
carol:SCRAM-SHA-256$' 'it is added on a line of its own'
password 0 -r carol; says "'carol' is removed"
grep -v '^alice:' accounts >accounts.rest
cmp -s with.rest accounts.rest || fail 'removed more than one line'
grep '^alice:' accounts >two; cat two >>accounts; printf 'x\n' | password 0 alice
is "$(grep -c '^alice:' accounts)" 1 'of two lines for one name one is left'
password 65; says 'accounts:3: no verifier'
is "$(cat out)" 'alice
bob smith
Müller@example.com' 'the list of what is right'
rm accounts; grep -E '^(alice:|bob|M)' real >accounts

# --- refused ---

wrong 65 'cannot be a name'              secret ''
wrong 65 'cannot be a name'              secret 'a:b'
wrong 65 'cannot be a name'              secret '#a'
wrong 65 'cannot be a name'              secret 'a	b'
wrong 65 'cannot be a name'              secret "$(printf 'a\377')"
wrong 65 'longer than 255'               secret "$(printf '%0256d' 0)"
wrong 65 'one character at least'        ''     carol
wrong 65 'no tab'                        'a	b'  carol
wrong 65 'UTF-8'                         "$(printf 'a\344')" carol
wrong 65 'longer than 1024'              "$(printf '%01025d' 0)" carol
wrong 64 'from 4096, which RFC 7677'     secret -i 4095 carol
wrong 64 'to 1000000'                    secret -i 1000001 carol
wrong 64 'from 4096'                     secret -i 5000x carol
wrong 64 'usage'                         secret carol dave
wrong 64 'usage'                         secret -x carol
wrong 64 'say whom to remove'            secret -r
wrong 65 "'carol' is not in it"          secret -r carol
wrong 65 "no server is called 'two'"     secret -S two carol
cp accounts before; password 65 carol </dev/null; says 'there is no answer'; cmp -s accounts before || fail 'written without an answer'
: >accounts.new
echo x | password 73 carol; says 'somebody else is at it'; [ -e accounts.new ] || fail 'it took the lock of somebody else'
rm accounts.new
printf '%01024d\n' 0 | password 0 "$(printf '%0255d' 0)"; password 0 -r "$(printf '%0255d' 0)"

# --- whose file ---

sed 's/one/two/g; s/accounts/others/' conf | sed 1d >>conf
wrong 64 'with -S SERVER' secret carol
wrong 65 "no server is called 'x'" secret -S x carol
password 66 -S two; says "others: No such file or directory: 'smtpd password USER' makes it"
echo x | password 0 -S two zoe; password 0 -S two; is "$(cat out)" zoe 'another server, another file'
echo 'server three { general { listen 127.0.0.1:0; mailroot three }; domain three.example default }' >>conf
wrong 78 "write 'passwords FILE' in its access block" secret -S three carol
sed 's/others/accounts/' conf >shared; "$SMTPD" password -f shared >out 2>err || { cat err >&2; fail "servers that share a file"; }
is "$(sed 2d out)" 'alice
Müller@example.com' 'the file they share'
if [ "$(id -u)" = 0 ]; then
	mkdir -p one; chown 65534 one; rm others; sed 2d conf >conf.two; sed 's/mailroot two/mailroot one/' conf.two >conf
	echo x | password 0 -S two zoe
	is "$(ls -ln others | awk '{ print $3 }')" 65534 'a new file is its whose mailroot it is'
	chown 65533 others; echo y | password 0 -S two zoe
	is "$(ls -ln others | awk '{ print $3 }')" 65533 'the owner of an old one'
	cp shared conf
fi

# --- smtpd check ---

cp shared conf
"$SMTPD" -f conf check >out 2>&1
grep -q 'accounts in accounts: 3' out || { cat out >&2; fail 'check does not count them'; }
grep -q 'can be read by others' out || fail 'check does not mind its mode'
chmod 600 accounts; echo 'dave:secret' >>accounts
"$SMTPD" -f conf check >out 2>&1 && fail 'check finds no fault'
grep -q 'accounts:5: no verifier' out || { cat out >&2; fail 'check does not find the mistake'; }
! grep -q 'can be read by others' out || fail 'check minds the right mode'
