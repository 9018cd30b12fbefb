# shellcheck shell=sh disable=SC2012,SC2016,SC2034,SC2046,SC2086,SC2119,SC2120,SC2254
# lib.sh: what the script tests share. A test is NAME.sh; it says its goal in a comment, and begins with
#
#     . "${TEST:-$(dirname "$0")}/lib.sh"
#
# It passes by ending with status 0, skips with 77, fails with anything else. It stands (and stays) in $T, a fresh
# directory where everything happens and which is removed at the end (KEEP=1 keeps it); what it started is ended then
# too, by number.
# The words:
#
#     start_server [CONF] [ARG ...]   smtpd in $T, with CONF or else a copy of test/smtpd.conf; $PORT is its first port
#     port_of NAME [ADDR]             prints the port of that virtual server (ADDR as it is announced: [::1])
#     use NAME [ADDR]                 the same, into $PORT
#     stop_server                     TERM, and it must end in order: in 20 s, status 0, no word from a sanitizer
#     kill_server                     KILL
#     say                             lines from standard input to $HOST $PORT with CRLF; prints the answers without CR
#     talk                            the same with bytes as they are, both ways
#     converse FILE                   plays a transcript as the client
#     peer FILE, peer_ends            plays one as the server, on port $PEER; and: it must have come true
#     mail_is FILE DIR                the messages in DIR are those that FILE tells of (see there)
#     wait_for CONDITION [SECONDS]    until the shell code is true; fails after 30. poll is the same and only says so
#     limit SECONDS COMMAND ...       with standard input and output as they are; status 124 when it took too long
#     spawn NAME COMMAND ...          in the background: NAME.log, NAME.pid, and NAME.rc when it is over
#     tools NAME ...                  the programs test/NAME are $NAME, built where they are not yet
#     account                         makes the file passwords, in which anna's password is `secret'; $PLAIN is how she says it
#     need_tls                        there is nothing to be done where the program was built without TLS
#     is GOT WANT [WHAT]   like GOT PATTERN [WHAT]   ok [WHAT]   fail WHY   skip WHY   need TOOL ...
#
# A server that a test starts itself gets $ME: whoever we are is who it stays, and root has to say so.
# From outside: SMTPD the program (default test/smtpd-test if there is one, else smtpd), WRAP a command in front of it
# (valgrind -q), NC the netcat (default test/nc), SH the shell (sh), LIMIT the seconds for one dialogue (30). Such
# times are for a machine that has much else to do: nobody waits for them as long as all is well.
LC_ALL=C; export LC_ALL
TEST=$(cd "${TEST:-$(dirname "$0")}" && pwd) || exit 2
TOP=${TEST%/*} SH=${SH:-sh} HOST=127.0.0.1 SERVER=server
servers='' peers=0 ME="-u $(id -u)"
if [ -z "${SMTPD-}" ]; then SMTPD=$TOP/smtpd; [ ! -x "$TEST/smtpd-test" ] || SMTPD=$TEST/smtpd-test; fi
case $SMTPD in /*) ;; *) SMTPD=${FROM:-$PWD}/$SMTPD ;; esac
case ${NC-} in [!/]*/*) NC=${FROM:-$PWD}/$NC ;; esac
export TEST TOP SH SMTPD
T=${TEST_DIR-}
if [ -z "$T" ]; then
	i=0; until T=${TMPDIR:-/tmp}/smtpd-test.$$.$i; mkdir "$T"; do i=$((i + 1)); [ $i -lt 100 ] || exit 2; done
fi 2>/dev/null
cd "$T" || exit 2
trap finish EXIT
trap 'exit 1' HUP INT TERM

# --- verdicts ---

# A failure in a subshell ends no more than that, so a mark is left for the end to find.
fail() { echo "fail: $*" >&2; : >"$T/failed"; exit 1; }
skip() { echo "skip: $*"; exit 77; }
ok()   { echo "ok: $*"; }
tools() {
	for part; do
		if [ -x "$TEST/$part" ]; then eval "$part=\$TEST/\$part"; continue; fi
		need "${CC:-cc}"
		"${CC:-cc}" -std=c99 -o "$T/$part" "$TEST/$part.c" || fail "test/$part.c does not compile"
		eval "$part=\$T/\$part"
	done
}
need() { for needed; do command -v "$needed" >/dev/null || skip "$needed is not installed"; done; }
# Where no test may be skipped, that is what is meant.
need_tls() {
	"$SMTPD" -V | grep -q 'with TLS' || { [ -z "${NOSKIP-}" ] || exit 0; skip 'this program was built without OpenSSL'; }
}
is()   { [ "$1" = "$2" ] || differ "${3-}" "$2" "$1"; }
like() { case $1 in $2) ;; *) differ "${3-}" "$2" "$1" ;; esac; }
differ() { printf 'want: %s\n got: %s\n' "$2" "$3" >&2; fail "${1:-they differ}"; }

finish() {
	code=$?
	trap - EXIT
	cd "$T" || exit 2
	for SERVER in $servers; do
		[ ! -e "$SERVER.pid" ] || ( stop_server ) || code=1
	done
	for i in *.pid; do
		[ ! -e "$i" ] || end "${i%.pid}" TERM 20 || end "${i%.pid}" KILL 2
	done
	for i in clock.*.pids; do
		[ ! -e "$i" ] || kill -KILL $(cat "$i") 2>/dev/null
	done
	[ ! -e failed ] || code=1
	case $code in 0 | 77) ;; *) for i in *.log; do [ ! -s "$i" ] || tail -n 40 "$i" | sed "s/^/$i: /"; done ;; esac
	cd /
	if [ -n "${KEEP-}" ]; then echo "kept: $T"; else rm -rf "$T"; fi
	exit "$code"
}

PLAIN='AUTH PLAIN AGFubmEAc2VjcmV0'
account() {
	cat >passwords <<'E'
anna:SCRAM-SHA-256$4096:MDEyMzQ1Njc4OWFiY2RlZg==$bpSY5Ze9NUH+I35LC3gVq+DpBfK46iXBxvhAKqVu9pE=:VpYlBuxyzeCI1KnctrefdljpB1mk3Gp7sBI/t11+NkQ=
E
	chmod 600 passwords
}

# --- waiting, and what runs beside us ---

# Time is counted in naps of a twentieth of a second, or in whole seconds where sleep knows no fractions.
poll() {
	spent=0
	until eval "$1"; do
		[ $spent -lt $((${2:-30} * 20)) ] || return 1
		if sleep 0.05 2>/dev/null; then spent=$((spent + 1)); else sleep 1; spent=$((spent + 20)); fi
	done
}
wait_for() { poll "$@" || fail "still not so after ${2:-30} s: $1"; }

# A shell stands between us and the command and waits for it at once: so that its number is not that of a zombie, and
# its status is there to read, in every shell and from every subshell.
spawn() {
	name=$1; shift
	rm -f "$name.pid" "$name.rc"
	(
		trap : HUP INT TERM
		cd "$T" || exit
		$SH -c 'echo $$ >"$0.pid"; exec "$@"' "$name" "$@" >"$name.log" 2>&1
		echo $? >"$name.rc.new"
		mv "$name.rc.new" "$name.rc"
	) </dev/null 2>/dev/null &
	wait_for "[ -s $name.pid ]"
}

# end NAME SIGNAL SECONDS: so that it is over, with its status in NAME.rc and $rc.
end() {
	[ -e "$1.rc" ] || kill -s "$2" "$(cat "$1.pid")" 2>/dev/null
	poll "[ -e $1.rc ]" "$3" || return 1
	rc=$(cat "$1.rc")
	rm -f "$1.pid"
}

# The watchdog is the one of play, which says why it is so.
limit() {
	seconds=$1; shift
	i=0; until clock=$T/clock.$i; mkfifo "$clock" 2>/dev/null; do i=$((i + 1)); [ $i -lt 100 ] || return 2; done
	{ exec "$@" <&5 5<&-; } & job=$!
	{ exec sleep "$seconds" >"$clock" 5<&-; } & ticks=$!
	{ exec 5<&-; read -r i <"$clock"; : >"$clock.late"; kill -KILL $job; } & dog=$!
	echo $dog $ticks $job >"$clock.pids"
	{ wait $job; rc=$?; kill -KILL $dog $ticks; wait $dog $ticks; } 2>/dev/null
	[ ! -e "$clock.late" ] || { echo "took longer than $seconds s: $*" >&2; rc=124; }
	rm -f "$clock" "$clock".*
	return $rc
} 5<&0

# --- the server ---

start_server() {
	conf=smtpd.conf
	case ${1--} in -*) [ -e smtpd.conf ] || { cp "$TEST/smtpd.conf" .; account; } ;; *) conf=$1; shift ;; esac
	[ ! -e "$SERVER.log" ] || mv "$SERVER.log" "$SERVER.log.old"
	spawn "$SERVER" ${WRAP-} "$SMTPD" -f "$conf" $ME "$@"
	servers="$servers $SERVER"
	poll '[ -n "$(announced "")" ] || [ -e "$SERVER.rc" ]'
	PORT=$(announced '')
	[ -n "$PORT" ] || { end "$SERVER" KILL 2; fail "the server did not start"; }
}

announced() {
	awk -v key="${1:+\"$1\"} listening on ${2:+$2:}" '(i = index($0, key)) {
		s = substr($0, i + length(key)); sub(/ .*/, "", s); sub(/.*:/, "", s); print s; exit }' "$SERVER.log"
}
port_of() {
	who=$1 where=${2-}
	poll '[ -n "$(announced "$who" "$where")" ]' || fail "no port is announced for $*"
	announced "$who" "$where"
}
use()     { PORT=$(port_of "$@") || exit 1; }

unhurt() {
	! grep -E 'ERROR: [A-Za-z]*Sanitizer|LeakSanitizer|runtime error:|WARNING: MemorySanitizer' "$SERVER.log" >&2 ||
		fail 'a sanitizer has spoken'
}
stop_server() {
	[ ! -e "$SERVER.rc" ] || { end "$SERVER" TERM 1; fail "the server had ended by itself, with status $rc"; }
	end "$SERVER" TERM 20 || { end "$SERVER" KILL 2; fail 'the server did not end within 20 s of TERM'; }
	unhurt
	[ "$rc" = 0 ] || fail "the server ended with status $rc"
}
kill_server() { end "$SERVER" KILL 30 || fail 'the server survives KILL'; unhurt; }

# --- dialogues ---

# The netcat is ours unless another one is asked for: with ours the end of the input reaches the server, and the
# server's close reaches us.
pick_nc() { if [ -n "${NC-}" ]; then nc=$NC; else own_nc; nc=$own; fi; }
own_nc() {
	own=$TEST/nc; [ ! -x "$own" ] || return 0
	own=$T/nc;    [ ! -x "$own" ] || return 0
	command -v "${CC:-cc}" >/dev/null || skip 'test/nc is not built'
	${CC:-cc} -o "$own" "$TEST/nc.c" || fail 'test/nc.c does not compile'
}
talk() { pick_nc; limit "${LIMIT:-30}" $nc "$HOST" "$PORT"; }
say()  { awk '{ printf "%s\r\n", $0 }' | talk | tr -d '\r'; }
converse() {
	pick_nc
	NC=$nc $SH "$TEST/play" "$HOST" "$PORT" "$1" >&2 || fail "the dialogue of ${1##*/} went otherwise"
}

# Always ours, because it says when it listens, and where.
peer() {
	own_nc
	peers=$((peers + 1))
	spawn "peer$peers" env NC="$own" $SH "$TEST/play" -l "$HOST" 0 "$1"
	wait_for "grep -q 'listening on' peer$peers.log"
	PEER=$(sed -n 's/.*listening on .*://p' "peer$peers.log")
}
peer_ends() {
	poll "[ -e peer$peers.rc ]" || fail "peer $peers still waits"
	end "peer$peers" TERM 1
	[ "$rc" = 0 ] || fail "the dialogue of peer $peers went otherwise"
}

# --- mail ---

# mail_is FILE DIR: FILE holds the messages in the order of their names, `===` between them, CR left out. A line that
# ends in * stands for all that begin so, a line of *** for any number of lines; `none` alone for no message at all.
# What is being delivered gets some time to arrive, as long as there is less than there should be.
mail_is() {
	if [ "$(cat "$1")" = none ]; then
		poll "[ -z \"\$(messages '${2%/*}/Queue')\" ]" 2
		is "$(messages "$2")" '' "there is mail in $2"
		return
	fi
	poll "[ \$(messages '$2' | wc -l) -ge $(grep -c '^=== *$' "$1" | awk '{ print $1 + 1 }') ]"
	between=
	messages "$2" | while read -r i; do
		[ -z "$between" ] || echo "$between"; between='==='
		awk '{ sub(/\r$/, ""); print }' "$2/$i"
	done | awk -v file="$1" '
		function fits(w, g) {
			if (w ~ /^=== *$/) return g == "==="
			return w == g || w ~ /\*$/ && substr(g, 1, length(w) - 1) == substr(w, 1, length(w) - 1)
		}
		BEGIN { while ((getline line < file) > 0) want[++n] = line }
		{ got[++m] = $0 }
		END {
			for (i = j = 1; i <= n; i++) {
				if (want[i] == "***") {
					if (i == n) exit
					while (j <= m && !fits(want[i + 1], got[j])) j++
				} else if (j > m || !fits(want[i], got[j]))
					break
				else
					j++
			}
			if (i > n && j > m) exit
			name = file ":" i
			print name ": want: " (i > n ? "(the end)" : want[i])
			print name ":  got: " (j > m ? "(the end)" : got[j])
			print "--- all of it:"; for (j = 1; j <= m; j++) print got[j]; print "---"
			exit 1
		}' >&2 || fail "the mail in $2 is not that of ${1##*/}"
}
# What bulk has sent to u@example.org, in these folders. subjects FOLDER ...: the token of each message. torn FOLDER ...:
# which are not whole: the envelope, and every line in its order.
subjects() {
	find "$@" -type f -name '*.eml' -exec awk '
		FNR == 1 { head = 1 } head && sub(/^Subject: /, "") { sub(/\r$/, ""); print; head = 0 }' {} +
}
torn() {
	find "$@" -type f -exec awk '
		function bad(why) { print FILENAME ": line " FNR ": " why; over = 1 }
		function whole() { if (name != "" && (!lines || line != lines)) print name ": ends after line " line + 0 }
		FNR == 1 { if (!over) whole(); name = FILENAME; over = line = lines = 0; token = ""; seen[name] }
		over { next }
		!sub(/\r$/, "") { bad("no CR before its LF"); next }
		FNR == 1 && $0 != "x-sender: a@client.test" ||
		FNR == 2 && $0 != "x-receiver: u@example.org" ||
		FNR == 3 && $0 != "Return-Path: <a@client.test>" ||
		FNR == 4 && !/^Received: / { bad("it does not belong there: " $0); next }
		/^Subject: / { token = $2; next }
		token == "" { next }
		$0 == "" { if (line) bad("it is empty"); next }
		!lines { lines = $NF + 0 }
		{ sub(/^[.]+/, "") }
		$0 != token ": line " ++line " of " lines { bad("it is: " $0) }
		END {
			if (!over) whole()
			for (i = 1; i < ARGC; i++) if (!(ARGV[i] in seen)) print ARGV[i] ": empty"
		}' {} +
}
messages() { ls "$1" 2>/dev/null | sort; }

# A transcript as a test of its own: #server NAME among its first lines picks the virtual server, else it is the first
# one; FILE.mail beside FILE.t tells of the mail that must lie in the Drop folder of that server afterwards.
transcript() {
	virtual=$(sed -n '1,5s/^#server  *//p' "$1")
	start_server
	use "${virtual:=plain}"
	converse "$1"
	[ ! -e "${1%.t}.mail" ] || mail_is "${1%.t}.mail" "$virtual/Drop"
	stop_server
}
