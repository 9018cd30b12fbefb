#!/bin/sh
# Goal: a sub-command reaches the server it is meant for, and what it says of it is true.
# - a server that is not to start can be started, from the first time on;
# - one that runs is reached though its file has mistakes by now, or files that it names are gone;
# - options stand before or behind the words; a word that is none is named; all within 80 columns;
# - where the mailroots are not, or may not be read, nothing is said of what is in them.
. "${TEST:-$(dirname "$0")}/lib.sh"

# asks STATUS ARG ...: with this status; said has what it said.
asks() { want=$1; shift; "$SMTPD" "$@" >said 2>&1; rc=$?; [ $rc = "$want" ] || { cat said >&2; fail "status $rc, not $want: $*"; }; }
has()  { grep -q -e "$1" said || { cat said >&2; fail "no line like: $1"; }; }
cat >smtpd.conf <<'E'
resolver 127.0.0.1:1
server "quiet" {
    general { listen 127.0.0.1:0; mailroot quiet; start no }
    domain quiet.example default
}
E

# --- the first start, of one that is not to start ---

start_server smtpd.conf
asks 0 -f smtpd.conf status;      has '^"quiet" is stopped$'
asks 0 -f smtpd.conf start quiet; has '^"quiet" is running$'

# --- options and words ---

for i in '-S quiet --json status' 'status --json -S quiet' '--json status -S quiet' '-S quiet status -j'; do
	asks 0 -f smtpd.conf $i;          has '^{"server":"quiet","state":"running"'
done
asks 0 status --json -f smtpd.conf;   has '^{"server":"quiet","state":"running"'
asks 64 -f smtpd.conf statsu;         has "^smtpd: there is no sub-command 'statsu'$"; has '^usage: smtpd'
awk 'length > 79' said | grep . && fail 'usage is too wide'
asks 64 -S quiet;                     has '^usage: smtpd'
asks 64 --json check;                 has '^usage: smtpd'
asks 64 -f smtpd.conf status -x;      has '^usage: smtpd'

own_nc; mkfifo open; spawn client sh -c "$own $HOST $PORT <open"; exec 8>open
long=$(awk 'BEGIN { for (i = 0; i < 23; i++) printf "labels12."; print "example" }')
printf 'HELO %s\r\n' "$long" >&8
wait_for 'grep -q "^250 " client.log'
asks 0 -f smtpd.conf sessions;        has labels12
awk 'length > 79' said | grep . && fail 'a line of more than 79 columns'
exec 8>&-

# --- a file with mistakes ---

cp smtpd.conf good.conf
printf 'brocken\n' >>smtpd.conf
asks 0 -f smtpd.conf status;      has '^"quiet" is running$'
asks 78 -f smtpd.conf reload;     has "smtpd.conf:6: unknown directive 'brocken'"
sed 's/default$/default { recipients gone }/' good.conf >smtpd.conf
asks 78 -f smtpd.conf reload;     has 'smtpd.conf:4: gone: No such file or directory$'
asks 0 -f smtpd.conf queue;       is "$(cat said)" 'Queue is empty' 'all that is said'
asks 78 -f absent.conf status;    is "$(cat said)" 'absent.conf: No such file or directory' 'all that is said'

# --- from elsewhere, and without rights ---

mkdir -p elsewhere quiet/Queue; cp good.conf smtpd.conf
asks_there() { cd elsewhere || exit; asks "$@"; mv said ..; cd ..; }
for i in status 'queue list' reload 'stop all'; do
	asks_there 69 -f "$T/smtpd.conf" $i
	is "$(cat said)" "smtpd: \"quiet\" is not seen from here: there is no quiet in $T/elsewhere; ask from where it is started" "$i"
done
asks_there 77 -f "$T/smtpd.conf" status -S nobody
sed "s,mailroot quiet,mailroot $T/new," smtpd.conf >new.conf
asks 69 -f new.conf status;       has "^smtpd: \"quiet\" is not running, and has no mailroot $T/new yet"
stop_server
{ cat smtpd.conf; sed 's/quiet/other/g' smtpd.conf | sed 1d; } >two.conf
asks 69 -f two.conf status;       has '^smtpd: "other" is not seen'; has '^"quiet" is not running$'
asks 0 -f two.conf status -S quiet
if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null; then
	chmod 755 . quiet; chmod 700 quiet/Queue
	cp "$SMTPD" ./server-copy && chmod 755 server-copy
	for i in status queue; do
		setpriv --reuid 65534 --regid 65534 --clear-groups ./server-copy -f smtpd.conf $i >said 2>&1; is $? 77 "$i without rights"
		is "$(cat said)" 'smtpd: "quiet" is not running, and quiet/Queue: Permission denied' "$i without rights"
	done
fi
ok
