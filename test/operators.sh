#!/bin/sh
# Goal: the control socket is open to operators and to no one else.
# - root and who runs the server may always; others when `operators' names them, by name, number or group;
# - a server's own list leaves it to fewer of them: by the rest it is neither seen nor touched, and who stands only there
#   may nothing; reload and shutdown are for all operators; a name that this system does not know is a mistake.
# - where the folders cannot be read the socket is enough;
# - who may not, and who says nothing, keeps nobody else out.
. "${TEST:-$(dirname "$0")}/lib.sh"

need setpriv
[ "$(id -u)" = 0 ] || skip 'only root can be others'
chmod 755 .
as() { who=$1; shift; setpriv --reuid="$who" --regid="$who" --clear-groups "$@"; }
may() { as "$1" "$SMTPD" -f smtpd.conf $2 >said 2>&1; is $? "$3" "uid $1: $2"; }
SMTPD_DIR=$(dirname "$SMTPD")
as 4711 test -x "$SMTPD" || { cp "$SMTPD" ./server-copy && chmod 755 server-copy && SMTPD=$T/server-copy; }
as 4711 test -x "$SMTPD" || skip 'others cannot come here'

conf() {
	cat >smtpd.conf <<E
resolver 127.0.0.1:1
control $T/control
$1
server "one" { general { listen 127.0.0.1:0; hostname one.example; mailroot one }; domain one.example default }
server "two" {
    general  { listen 127.0.0.1:0; hostname two.example; mailroot two }
    security { operators $2 }
    domain two.example default
}
E
	chmod 644 smtpd.conf
}
conf '' root
sed -i.old '/security/d' smtpd.conf
start_server
may 4711 status 77;             grep -q "you are no operator here; add your name to 'operators' at the top level of smtpd.conf" said || fail "$(cat said)"
may 4711 reload 77;             may 4711 shutdown 77;      may 4711 'stop all' 77
may 0 status 0
conf 'operators 4711 @4712 4713' '4713 4714 root'
may 0 reload 0
may 4711 status 0;              is "$(grep -c '^"' said)" 1 'servers that 4711 sees'
may 4712 status 0;              is "$(grep -c '^"' said)" 1 'servers that a group sees'
may 4713 status 0;              is "$(grep -c '^"' said)" 2 'servers that 4713 sees'
may 4714 status 77;             may 4714 'status -S two' 77
may 4711 'queue' 0;             may 4711 'stop two' 1;     may 4711 'pause one' 0; may 4711 'resume all' 0
may 4714 shutdown 77;           may 4711 reload 0
may 4714 'status metrics' 77;   may 4711 'status metrics' 0
may 4711 'reload -S two' 0
conf 'operators no-such-user' '@no-such-group'
may 0 reload 78;                grep -q "operators: this system has no user 'no-such-user'" said || fail "$(cat said)"
grep -q "operators: this system has no group '@no-such-group'" said || fail "$(cat said)"
conf '' root
may 4711 'queue list' 0

tools silent
as 4711 test -x "$silent" || { cp "$silent" ./silent-copy && chmod 755 silent-copy && silent=$T/silent-copy; }
spawn strangers setpriv --reuid=4715 --regid=4715 --clear-groups "$silent" "$T/control" 20
spawn operators "$silent" "$T/control" 8
wait_for 'grep -q "^connected 8" operators.log && [ -e strangers.rc ]'
is "$(grep -c "^[0-9]* !you are no operator here; .* =77 $" strangers.log)" 20 'strangers that were told so'
may 0 status 0; may 0 status 0
is "$(grep -v connected operators.log)" '1 ' 'who gave way'
end operators KILL 5
stop_server
ok
