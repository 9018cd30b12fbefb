#!/bin/sh
# Goal: smtpd check tells what is well and what is not, each fault with file, line and mend, and changes nothing.
# - folders, moves and syncs, room, quota; addresses, who has them; resolvers, host names, smart hosts, domains; clock;
# - a fault ends with 78, a note does not; beside the running server; without -f; in lines of a terminal;
# - as somebody who may not: folders of others, a port of root's.
# shellcheck disable=SC2015,SC2016,SC2154
. "${TEST:-$(dirname "$0")}/lib.sh"
case ${SMTPD##*/} in smtpd-test*) ;; *) skip 'test/smtpd-test is not built' ;; esac

tools dnsd
cat >zone <<'E'
mail.here.example 60 A 192.0.2.1
1.2.0.192.in-addr.arpa 60 PTR mail.here.example
six.here.example  60 AAAA 2001:db8::2
2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa 60 PTR six.here.example
lost.here.example 60 A 192.0.2.3
3.2.0.192.in-addr.arpa 60 PTR dialup-3.net.example
bare.here.example 60 A 192.0.2.4
none.here.example 60 TXT 5
home.here.example 60 A 127.0.0.1
mx.example        60 MX 10 one.mx.example
one.mx.example    60 A 192.0.2.6
fails.example     servfail
E
spawn dns "$dnsd" zone
wait_for 'grep -q listening dns.log'
resolver=$HOST:$(sed -n 's/^dnsd listening on .*://p' dns.log)
: >hosts
base=$PWD

# conf NAME: NAME.conf, of the server's lines from standard input behind those that all have; its first one is line 4.
conf() {
	mkdir -p "$1"
	{
		printf 'resolver %s\nhosts hosts\nserver "%s" {\n' "$resolver" "$1"
		cat
		echo '}'
	} >"$1.conf"
}
general='general { listen 127.0.0.1:0; hostname mail.here.example; mailroot m'
# check STATUS ARG ...: out has what it said, each line in one piece.
check() {
	want=$1; shift
	limit 30 "$SMTPD" check $ME "$@" >raw 2>err; got=$?
	awk '/^      / { sub(/^ +/, " "); printf "%s", $0; next } { printf "%s%s", (NR > 1 ? "\n" : ""), $0 } END { print "" }' raw >out
	[ $got = "$want" ] || { cat raw err >&2; fail "status $got, not $want: check $*"; }
}
says() { grep -qE -- "^$1" out || { cat out err >&2; fail "it does not say: $1"; }; }
# fault WHAT ARG ...: that alone. note WHAT ARG ...: that, and no fault.
fault() { what=$1; shift; check 78 "$@"; says "FAULT $what"; is "$(grep -c ^FAULT out)" 1 "faults, of $*"; }
note()  { what=$1; shift; check 0 "$@"; says "note  $what"; }

# --- all is well ---

conf fine <<E
    $general/fine; }
    domain here.example default
    domain away.example remote { smart-host [192.0.2.9]:587 mx.example }
    domain mx.example remote
    domain *.wild.example remote
E
mkdir m
check 0 -f fine.conf
says "ok    mailroot m/fine is not there, and will be made in $PWD"
[ ! -e m/fine ] || fail 'check makes a mailroot'
start_server fine.conf; stop_server
find m fine.conf | sort >before
check 0 -f fine.conf
find m fine.conf | sort | cmp -s - before || fail 'check leaves something behind'
! grep -qv '^ok' out || { cat out >&2; fail 'it is not all well'; }
for i in 'the clock says' 'hosts file hosts can be read' "resolver $resolver answers" 'server "fine" does not run' \
	'mailroot m/fine: files can be written, synced and moved' 'on the disk of m/fine/Queue are [0-9]*[KMGT] octets free' \
	'"fine" can listen on 127.0.0.1:0' 'hostname mail.here.example is 192.0.2.1, and that leads back to it' \
	'smart-host 192.0.2.9: mail goes to \[192.0.2.9\]:587' 'smart-host mx.example: mail goes to one.mx.example\[192.0.2.6\]:25' \
	'domain mx.example: mail goes to one.mx.example'
do
	says "ok    $i"
done
grep -q wild out && fail 'a wildcard is looked up'
rmdir m/fine/Drop; check 0 -f fine.conf; says 'ok    mailroot m/fine: 1 of its folders will be made'
[ ! -e m/fine/Drop ] || fail 'check makes a folder'

awk 'length > 79 || /\033/ { exit 1 }' raw || fail 'lines for a terminal, without colour'

# --- the running server ---

mkdir m/fine/Drop
start_server fine.conf
sed "s/127.0.0.1:0/127.0.0.1:$PORT/" fine.conf >running.conf
check 0 -f running.conf
says "ok    server \"fine\" runs, as process $(cat server.pid)"
says "ok    \"fine\" listens on 127.0.0.1:$PORT: it runs"
says 'ok    mailroot m/fine: files can be written'
sed 's/mail.here.example/six.here.example/; s,m/fine,m/other,' running.conf >other.conf
sed "s/127.0.0.1:$PORT/127.0.0.1:0/" other.conf >second.conf
fault "other.conf:4: 127.0.0.1:$PORT is in use by another program: .* it says '220 mail.here.example ESMTP smtpd'" -f other.conf
SERVER=second; start_server second.conf; SECOND=$PORT; SERVER=server
sed "s/127.0.0.1:0/127.0.0.1:$SECOND/" fine.conf >taken.conf
fault "taken.conf:4: 127.0.0.1:$SECOND is in use by another program: .* it says '220 six.here.example" -f taken.conf
SERVER=second; stop_server; SERVER=server; stop_server
sed "s,m/fine,m/still; start no," fine.conf >still.conf; start_server still.conf
sed "s/127.0.0.1:0/127.0.0.1:$PORT/" still.conf >kept.conf
note "\"fine\" does not run, but its program keeps 127.0.0.1:$PORT: it was stopped" -f kept.conf
stop_server
sed 's,m/fine,&; log w3c daily no/logs,' fine.conf >log.conf
fault 'log.conf:4: log: m/fine/no/logs cannot be made' -f log.conf
sed 's,m/fine,&; log w3c daily logs,' fine.conf >log.conf
check 0 -f log.conf; says 'ok    log folder m/fine/logs can be used'
own_nc
spawn mute "$own" -l 127.0.0.1 0
wait_for "grep -q 'listening on' mute.log"
sed "s/127.0.0.1:0/$(sed -n 's/.*listening on //p' mute.log)/" fine.conf >mute.conf
fault 'mute.conf:4: 127.0.0.1:[0-9]* is in use by another program: end that one, or listen elsewhere$' -f mute.conf
sed 's/127.0.0.1:0/192.0.2.1:0/' fine.conf >foreign.conf
fault 'foreign.conf:4: 192.0.2.1:0 is no address of this machine' -f foreign.conf

# --- folders ---

conf file <<E
    $general/file }
    domain here.example default
E
: >m/file
fault 'file.conf:4: m/file is no folder: move it away' -f file.conf
conf deep <<E
    $general/no/such }
    domain here.example default
E
fault 'deep.conf:4: m/no/such cannot be made, .*: mkdir -p m/no' -f deep.conf
conf secrets <<E
    $general/secrets }
    delivery { smart-host [127.0.0.1]; authenticate any jones password }
    domain here.example default
    domain there.example remote { smart-host [127.0.0.1]; authenticate any smith open }
E
(umask 077; echo x >password; echo y >open); chmod 644 open
check 78 -f secrets.conf
says 'ok  *authenticate: the password of jones can be read from password'
says "FAULT secrets.conf:7: authenticate: the password in 'open' cannot be used: others than its owner can use it"
conf parts <<E
    $general/parts }
    messages { badmail ../file }
    domain here.example default
E
mkdir m/parts; : >m/parts/Drop
check 78 -f parts.conf
says 'FAULT parts.conf:5: m/parts/../file is no folder'
says 'FAULT parts.conf:6: m/parts/Drop is no folder'
is "$(ls m/parts)" Drop 'what check makes'
conf same <<E
    $general/same }
    domain here.example default { drop link }
E
mkdir -p m/same/Pickup; ln -s Pickup m/same/link
fault 'same.conf:4: m/same/Pickup is, or lies in, m/same/link of server "same"' -f same.conf
conf two <<E
    $general/two }
    domain here.example default { drop $base/shared/Drop }
}
server "three" {
    $general/two/Queue/x }
    domain here.example default { drop $base/shared/Drop }
E
mkdir -p m/two/Queue/x shared/Drop
check 78 -f two.conf
says 'FAULT two.conf:4: m/two/Queue/x is, or lies in, m/two/Queue of server "two"'
says 'FAULT two.conf:8: m/two/Queue/x is, or lies in, m/two/Queue of server "two"'
sed 's,two/Queue/x,two/x,' two.conf >three.conf
check 0 -f three.conf

# --- the disk: what fails, when ---

conf disk <<E
    $general/fine }
    messages { badmail Badmail; badmail-limit 1K 1d; max-size unlimited }
    domain here.example default { quota 2K }
E
disk() { FAULT=$1; export FAULT; shift; fault "$@"; unset FAULT; [ -z "$(find m -name '.check*')" ] || fail 'a file is left'; }
disk 'write 1 EIO'    'disk.conf:4: m/fine/SortTemp: a file cannot be written and synced' -f disk.conf
disk 'sync 1 EIO'     'disk.conf:4: m/fine/SortTemp: a file cannot be written and synced' -f disk.conf
disk 'sync 2 EIO'     'disk.conf:4: m/fine/SortTemp: a file cannot be written and synced' -f disk.conf
disk 'rename 1 EXDEV' 'disk.conf:4: m/fine/Queue: a file cannot be moved there' -f disk.conf
disk 'sync 3 EIO'     'disk.conf:4: m/fine/Queue: the folder cannot be synced' -f disk.conf
disk 'rename 2 EXDEV' 'disk.conf:5: m/fine/Badmail: a file cannot be moved there: .*: all folders but Drop' -f disk.conf
disk 'rename 3 EXDEV' 'disk.conf:4: m/fine/Pickup: a file' -f disk.conf
disk 'space 0 ENOSPC' 'disk.conf:4: the disk of m/fine/Queue is full' -f disk.conf
FAULT='rename 5 EXDEV' note 'm/fine/Drop is on another file system than Queue' -f disk.conf
awk 'BEGIN { for (i = 0; i < 3000; i++) printf "x" }' >m/fine/Drop/mail
fault 'disk.conf:6: m/fine/Drop holds 3000 octets, more than its quota' -f disk.conf
mv m/fine/Drop/mail m/fine/Badmail
note 'm/fine/Badmail holds 3000 octets, more than badmail-limit' -f disk.conf
rm m/fine/Badmail/mail
sed 's/max-size unlimited/max-size 999999999G/' disk.conf >large.conf
note 'on the disk of m/fine/Queue are .* octets free: a message of max-size does not fit' -f large.conf
echo 3000000000 >clock; CLOCK_FILE=clock fault 'the clock says .* set it' -f disk.conf

# --- names ---

hostname() { sed "s/hostname mail.here/hostname $1/" disk.conf >name.conf; shift; note "$@" -f name.conf; }
hostname lost.here 'hostname lost.here.example is 192.0.2.3, but that leads back to dialup-3.net.example'
hostname bare.here 'hostname bare.here.example is 192.0.2.4, but that leads back to nothing'
hostname none.here 'hostname none.here.example has no address'
hostname fails     'hostname fails.example: the name servers do not say'
hostname home.here 'hostname home.here.example is 127.0.0.1 here'
sed 's/hostname mail.here.example/hostname six.here.example/' disk.conf >name.conf
check 0 -f name.conf; says 'ok    hostname six.here.example is 2001:db8::2, and that leads back'
sed 's/hostname mail.here.example/hostname mail/' disk.conf >name.conf
note 'hostname mail is no full name' -f name.conf

conf ways <<E
    $general/fine }
    delivery {
        smart-host none.here.example fails.example 192.0.2.5
    }
    domain here.example default
    domain a.example remote {
        smart-host [nowhere.example]:25
    }
    domain gone.example remote
E
check 78 -f ways.conf
says 'FAULT ways.conf:6: smart-host none.here.example: the host none.here.example has no address'
says 'note  smart-host fails.example: the name servers do not say now'
says 'ok    smart-host 192.0.2.5: mail goes to \[192.0.2.5\]:25'
says 'FAULT ways.conf:10: smart-host nowhere.example: the host nowhere.example has no address'
is "$(grep -c ^FAULT out)" 2 'a domain that goes to the smart host'
sed 's/^        smart-host none.*/connections 9/' ways.conf >direct.conf
check 78 -f direct.conf; says 'FAULT direct.conf:12: domain gone.example: there is no domain gone.example'
self=127.0.0.1:$PORT
sed "s/listen 127.0.0.1:0/listen $self/; s/none.here.*/[127.0.0.1]:$PORT/" ways.conf >self.conf
check 78 -f self.conf; says "FAULT self.conf:6: smart-host 127.0.0.1: \\[127.0.0.1\\]:$PORT is this server itself"

{ echo 'resolver 127.0.0.1:1'; cat disk.conf; echo 'resolver 127.0.0.2:1 127.0.0.3:1'; } >silent.conf
check 78 -f silent.conf
says 'FAULT silent.conf:1: resolver 127.0.0.1:1 does not answer'
says "ok    resolver $resolver answers"
says 'FAULT silent.conf:9: resolver 127.0.0.2:1 does not answer'
says 'note  resolver 127.0.0.3:1 is not asked: 3 are the most'
sed "s/^hosts.*/hosts nohosts/" disk.conf >nohosts.conf
fault 'nohosts.conf:2: hosts file nohosts cannot be read' -f nohosts.conf

sed 's,^hosts.*,&; metrics no/where; control nowhere/socket,' disk.conf >made.conf
check 78 -f made.conf
says 'FAULT made.conf:2: metrics no/where cannot be made'
says 'FAULT made.conf:2: control nowhere/socket cannot be made'
sed 's,^hosts.*,&; metrics here.prom,' disk.conf >made.conf
check 0 -f made.conf; says 'ok    metrics here.prom can be made'

# --- all of it ---

printf 'server x {\n  general { lisen 1 }\n  domain x y z\n}\n' >bad.conf
check 78 -f bad.conf
is "$(cut -d : -f 1,2 err | tr '\n' ' ')" 'bad.conf:2 bad.conf:3 ' 'the mistakes'
check 64 -f fine.conf more
if unshare -rn true 2>/dev/null; then			# a place without real name servers
	mkdir other; cd other || exit
	limit 30 unshare -rn "$SMTPD" check >../raw || { cat ../raw >&2; fail 'the built-in configuration'; }
	is "$(ls -a | tr '\n' ' ')" '. .. ' 'what check makes where it stands'
	: >mailroot
	limit 30 unshare -rn "$SMTPD" check >../wrong && fail 'the built-in configuration, without a place for its folders'
	cd ..
	tr '\n' ' ' <raw | tr -s ' ' >out; says '.*note the name servers of /etc/resolv.conf do not answer'
	tr '\n' ' ' <wrong | tr -s ' ' >out; says '.*FAULT built-in:2: mailroot is no folder'
fi
if command -v script >/dev/null && script -qec true /dev/null >/dev/null 2>&1 </dev/null; then
	TERM=xterm script -qec "'$SMTPD' check -f nohosts.conf" /dev/null </dev/null >raw
	grep -q '^.\[31mFAULT ' raw || fail 'there is no colour on a terminal'
fi

# --- as somebody else ---

other=''
[ "$(id -u)" != 0 ] || { need setpriv; other='setpriv --reuid 65534 --regid 65534 --clear-groups'; }
chmod 755 . m; chmod 700 m/fine
if [ -n "$other" ]; then
	$other test -r fine.conf || skip 'nobody else may look into the directory of tests'
	SMTPD_AS() { limit 30 $other "$SMTPD" check "$@"; }
	SMTPD_AS -f disk.conf >raw && fail 'somebody else may use the folders'
	tr '\n' ' ' <raw | tr -s ' ' >out
	says '.*FAULT disk.conf:4: m/fine is not ours to read and write'
	ME=; chown 0:0 m/fine
	note 'root is not who it serves as' -f fine.conf
	{ sed 1q fine.conf; echo 'user 54321'; sed 1d fine.conf; } >user.conf
	fault 'user.conf:5: m/fine is not ours to read and write' -f user.conf
	sed 's,m/fine,made,' user.conf >made.conf
	check 0 -f made.conf; says 'ok    mailroot made is not there, and will be made'
fi
sed 's,127.0.0.1:0,127.0.0.1:1,; s,m/fine,m/new,' fine.conf >root.conf
if [ "$(cat /proc/sys/net/ipv4/ip_unprivileged_port_start 2>/dev/null || echo 1024)" -gt 1 ]; then
	limit 30 $other "$SMTPD" check -f root.conf >raw && fail 'anybody may listen on port 1'
	tr '\n' ' ' <raw | tr -s ' ' >out
	says '.*FAULT root.conf:4: 127.0.0.1:1 is not ours to take'
fi
ok
