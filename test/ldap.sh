#!/bin/sh
# ldap: directories (ldap.c), asked by test/lookup, that do as they are told (test/directory).
# - whatever a directory says or does not say, a question ends in bounded time, with what it found or with the words why
#   not, and what can heal is a failure for now;
# - directories are tried in order, and while none can be used questions fail at once;
# - many questions share one connection; one that is given up costs the others nothing;
# - a password is not said to whoever listens.
. "${TEST:-$(dirname "$0")}/lib.sh"
[ -x "$TEST/directory" ] && [ -x "$TEST/lookup" ] || skip 'test/directory and test/lookup are not built'

cat >people <<'E'
dn: dc=example,dc=com
objectClass: domain

dn: uid=anna,dc=example,dc=com
mail: anna@example.com
mail: a@example.com
uid: anna

dn: uid=otto,dc=example,dc=com
mail: otto(*)\@example.com
uid: otto

dn: cn=all,ou=groups,dc=example,dc=com
member: uid=anna,dc=example,dc=com
member: uid=otto,dc=example,dc=com

E
awk 'BEGIN { for (i = 0; i < 1300; i++) printf "dn: uid=u%d,ou=many,dc=example,dc=com\nuid: u%d\nmail: u%d@example.com\n\n", i, i, i }' >>people

# directory NAME [ARG ...]: its URL is $URL, what it heard is in NAME.said.
directory() {
	name=$1; shift
	: >"$name.said"
	spawn "$name" "$TEST/directory" -l "$T/$name.said" "$@" people
	wait_for "grep -q 'listening on' $name.log"
	URL=ldap://$(sed -n 's/.*listening on //p' "$name.log")
}
heard() { grep -c "$2" "$1.said"; }

# routing WORDS: the configuration
routing() {
	echo "resolver 127.0.0.1:1; server x { domain example.com default; ldap-routing { base \"dc=example,dc=com\"; $* } }" >smtpd.conf
}

# lookup OUT ARG ...: OUT.err has the log.
lookup() {
	out=$1; shift
	limit $((${LIMIT:-30} * 3)) ${WRAP-} "$TEST/lookup" "$@" >"$out" 2>"$out.err" || { tail -n 20 "$out.err" >&2; fail "lookup failed, or took too long: $*"; }
}
# answers WANT ARG ...: a question, and all that is said of it in one line, as a pattern
answers() {
	want=$1; shift
	lookup answer "$@"
	like "$(paste -s -d' ' answer)" "$want" "$*"
}
anna='dn: uid=anna,dc=example,dc=com mail: anna@example.com mail: a@example.com done 1'

# --- what is true ---

truth() {
	directory truth
	routing "server $URL"
	answers "$anna" '(mail=ANNA@example.com)' mail
	is "$(grep -e bind -e search truth.said | sed 's/ *$//' | paste -s -d'|')" \
		'bind 3|search dc=example,dc=com 2 (mail=ANNA@example.com)|unbind'
	answers 'dn: uid=otto,dc=example,dc=com mail: otto(\*)*@example.com done 1' '(mail=otto\28\2a\29\5c@example.com)' mail
	answers 'done 0' '(mail=nobody@example.com)' mail
	answers 'dn: uid=anna,dc=example,dc=com dn: uid=otto,dc=example,dc=com done 2' '(&(mail=*@example.com)(!(uid=u*)))' 1.1
	answers 'dn: cn=all,ou=groups,dc=example,dc=com done 1' '(member:1.2.840.113556.1.4.1941:=uid=anna,dc=example,dc=com)' 1.1
	answers "failed the filter is wrong: a ')' is missing" '(mail=x'
	answers 'dn: uid=anna,dc=example,dc=com done 1' -b 'uid=anna,dc=example,dc=com' '(uid=*)'
	routing "server $URL; scope one"
	answers 'dn: uid=anna,dc=example,dc=com dn: uid=otto,dc=example,dc=com done 2' '(uid=*)'
	routing "server $URL; scope base"
	answers 'done 0' '(uid=*)'
}

together() {
	: >truth.said
	routing "server $URL"
	lookup many -q -n 1000 -j 100 -r 1000 '(uid=u%r)'
	is "$(cat many)" 'done 1000 failed 0 entries 1000'
	is "$(heard truth connect)" 1 'connections'
	: >truth.said
	lookup many -q -n 1000 -j 100 -r 1000 -e 7 '(uid=u%r)'
	is "$(cat many)" 'done 858 failed 142 entries 858'
	is "$(heard truth abandon) $(heard truth connect)" '142 1' 'questions given up, connections'
}

pages() {
	: >truth.said
	lookup many -q -p '(uid=u*)' mail
	is "$(cat many)" 'done 1 failed 0 entries 1300'
	is "$(heard truth 'search.*paged')" 3 'pages'
	lookup many -q -p -n 9 -j 9 '(uid=u*)' mail	# the directory refuses pages of one among those of another
	is "$(cat many)" 'done 9 failed 0 entries 11700'
	lookup many -q -p -n 3 -j 3 -t 3 '(uid=u*)' mail	# a page is asked for when the one before it is taken
	is "$(cat many)" 'done 3 failed 0 entries 3900'
	answers '*failed *sizeLimitExceeded (4)' -l 2 '(uid=u*)'
	directory unpaged -m unpaged
	routing "server $URL"
	lookup many -q -p '(uid=u*)' mail
	is "$(cat many)" 'done 1 failed 0 entries 1300'
}

# --- who we are ---

binding() {
	directory bind
	(umask 077; echo secret >password)
	simple='bind simple; user cn=x; password password'
	routing "server $URL; $simple"
	answers 'dn: *done 1' '(uid=anna)'
	grep -q '^bind 3 cn=x secret$' bind.said || fail 'the name and the password were not said'
	chmod 644 password
	"$TEST/lookup" '(uid=anna)' >out 2>&1 && fail 'others can read the password'
	grep -q "password: the password in 'password' cannot be used: others than its owner" out || { cat out; fail 'why is not said'; }
	chmod 600 password
	directory deny -m deny
	routing "server $URL; $simple"
	answers 'later the directory ldap://*: it does not accept who we are: invalidCredentials (49)' '(uid=anna)'
	directory local -u "$T/ldapi"
	for how in "$simple" 'bind external'; do
		routing "server ldapi://$(echo "$T/ldapi" | sed 's,/,%2F,g'); $how"
		answers 'dn: *done 1' '(uid=anna)'
	done
	is "$(grep '^bind' local.said | paste -s -d'|')" 'bind 3 cn=x secret|bind 3 EXTERNAL'
}

clear_text() {
	routing "server ldap://ldap.example.com; $simple"
	"$SMTPD" $ME -f smtpd.conf check >out 2>&1 && fail 'a password is said in clear'
	grep -q 'would hear the password in clear' out || { cat out; fail 'why is not said'; }
	routing "server ldap://ldap.example.com; $simple; clear-text-password yes"
	answers 'later *name servers*' '(uid=anna)'
	directory plain
	routing "server $URL; start-tls yes"
	if "$SMTPD" -V 2>&1 | grep -q 'without TLS'; then
		"$SMTPD" $ME -f smtpd.conf check >out 2>&1 && fail 'TLS without OpenSSL'
		grep -q 'start-tls: this program was built without OpenSSL' out || { cat out; fail 'why is not said'; }
	else
		answers 'later *it refuses StartTLS: protocolError (2): no TLS here' '(uid=anna)'
		routing "server $URL; ca-file x; certificate x x"
		"$SMTPD" $ME -f smtpd.conf check >out 2>&1 && fail 'TLS without TLS'
		is "$(grep -c 'no server here is asked by TLS' out)" 2
		directory inject -m inject
		routing "server $URL; start-tls yes"
		answers 'later *: behind its answer to StartTLS it says more in clear' '(uid=anna)'
	fi
}

# A name that we take for ourselves, and that is none of ours by its address: no password is said to it.
not_here() {
	directory not_here
	echo '0.0.0.0 localhost' >hosts
	for clear in no yes; do
		routing "server ldap://localhost:${URL##*:}; $simple; clear-text-password $clear"
		{ echo 'hosts hosts'; cat smtpd.conf; } >hosts.conf
		lookup answer -f hosts.conf '(uid=anna)'
		case $clear:$(paste -s -d' ' answer) in
		*'cannot be connected to'*) return ;;		# nothing is 0.0.0.0 here
		no:'later '*': no password is said: it would go in clear over the network'*) is "$(heard not_here bind)" 0 ;;
		yes:'dn: '*'done 1') is "$(heard not_here secret)" 1 ;;
		*) cat answer; fail "clear-text-password $clear" ;;
		esac
	done
}

# The name servers say where it is, and no more in time.
half_known() {
	printf '%s\n' 'box.example 60 AAAA ::1' 'box.example/A silent' >zone
	spawn dns "$TEST/dnsd" zone
	wait_for "grep -q 'listening on' dns.log"
	routing "server ldap://box.example:1; timeout 6s"
	sed "s/127.0.0.1:1/127.0.0.1:$(sed -n 's/^dnsd listening on .*://p' dns.log)/" smtpd.conf >dns.conf
	answers 'later *: it cannot be connected to: *' -f dns.conf -x 4 '(uid=anna)'
}

# Where the base of all is not there, nobody would be anybody.
no_base() {
	directory no_base -m code:32
	routing "server $URL"
	"$SMTPD" $ME -f smtpd.conf check >out 2>&1
	like "$(tr -d " \n" <out)" "*FAULTsmtpd.conf:1:directory$URL:*noSuchObject(32)*" "check"
}

# --- bad manners ---

# bad WANT MANNER [ARG ...]: the clock is fast, so that waiting takes no time.
bad() {
	want=$1 manner=$2; shift 2
	directory bad -m "$manner"
	routing "server $URL; timeout 10s"
	answers "$want" -x 10 "$@" '(uid=anna)' mail
	end bad TERM 5
}
nonsense='later *: what it says is no LDAP, or not to us'
manners() {
	bad 'later *: it does not answer' silent
	bad 'later *: it does not answer' mute
	for manner in flood huge deep wrong-id wrong-op; do bad "$nonsense" $manner; done
	bad 'later *: it hung up' close:0
	bad 'later *: it does not answer' flood:20
	bad "$anna" drip:1
	bad "$anna $anna" 1:stall:1 -n 2	# only the connection was dead
	bad 'later *: it disconnects: unavailable (52): going down' disconnect
	bad "$anna $anna $anna $anna" close:150 -n 4	# asked again on another connection
	bad "later * $anna" 1:close:20 -n 2 -s 5000
	bad "later * $anna" 1:disconnect -n 2 -s 5000
	bad 'failed *referral (10): ldap://elsewhere.example/' referral
	bad 'later *: it does not answer' raw:300B02010078060A010004000400	# a notification that is none of a disconnection
	bad "$anna" reference
	grep -q 'refers to ldap://elsewhere.example/ for (uid=anna), which is not followed' answer.err || fail 'the reference is not in the log'
	bad 'later *busy (51): as told' code:51
	bad 'failed *insufficientAccessRights (50): as told' code:50
	bad 'later *noSuchObject (32): as told; see base' code:32
	bad 'done 0' code:32 -b 'uid=anna,dc=example,dc=com'
	bad 'later *an error (4711): as told' code:4711
	bad 'dn: cn=x dn: cn=x failed there are more than 2 entries' endless -l 2
	bad 'later *has pages without end, and nothing on them' pages -p
}

# An entry that is too big fails the question that found it, for ever, and costs the others nothing.
big() {
	for manner in big many; do
		directory $manner -m "$manner:(uid=u7)"
		routing "server $URL"
		lookup many -v -n 20 -j 5 '(uid=u%d)'
		is "$(grep -c '^done 1' many) $(heard $manner connect)" '19 1'
		like "$(grep failed many)" 'failed the entry is too big: *' $manner
	done
}

# One that is not answered, or whose entries nobody takes, is given up, and costs the others nothing.
alone() {
	directory alone -m 'mute:(uid=u7)'
	routing "server $URL; timeout 10s"
	lookup many -q -x 10 -n 200 -j 2 -s 50 '(uid=u%d)'
	is "$(cat many) $(heard alone connect) $(heard alone abandon)" 'done 199 failed 1 entries 199 1 1'
	directory endless -m endless
	routing "server $URL; timeout 10s"
	lookup many -v -x 10 -t 1000000 '(uid=anna)'
	grep -q 'failed: .*has not answered in time' many.err || fail 'nobody takes the entries, and it goes on'
	memory=$(sed -n 's/^memory //p' many.err)
	[ "$memory" -lt 40000 ] || [ -n "${WRAP-}" ] || grep -q __asan "$TEST/lookup" || fail "it took $memory KiB"
}

octets() {
	for raw in 3080 3000 30030201II 300502017F6400 300602017F640104 30060201II640104 1F1F1F 04020000 \
		300C0201II64070401780A30003000 308600000000000000 30070201II64020400 300C0201II65070A0100040004FF 308405000000020101; do
		bad "$nonsense" raw:$raw
	done
	for raw in 00 30 300302 300702 30840000000702 30840050000002; do
		bad 'later *: it does not answer' raw:$raw
	done
	n=1
	while [ $n -le 105 ]; do
		bad '*later *: it hung up' close:$n
		n=$((n + 21))
	done
}

# --- several, and none ---

several() {
	directory first; one=$URL
	directory second; two=$URL
	routing "server ldap://127.0.0.1:1 $one $two"
	answers 'dn: *done 1' '(uid=anna)'
	is "$(heard first search) $(heard second search)" '1 0' 'who was asked'
	end first TERM 5
	answers 'dn: *done 1' '(uid=anna)'
	is "$(heard first search) $(heard second search)" '1 1' 'who was asked'
	directory mute -m mute
	routing "server $URL $two; timeout 10s"
	lookup answer -x 10 -q -n 10 '(uid=anna)'
	is "$(cat answer)" 'done 10 failed 0 entries 10' 'a directory that does not answer is left'
	routing "server ldap://127.0.0.1:1"
	lookup answer -q -v -n 1000 -j 10 '(uid=anna)'
	is "$(cat answer)" 'done 0 failed 1000 entries 0'
	is "$(grep -c 'no directory answers' answer.err) $(grep -c 'lost: ' answer.err)" '1 1' 'it is said once, and nobody waits'
}

back() {
	directory again
	routing "server $URL"
	spawn user "$TEST/lookup" -v -x 10 -s 200 -n 100000 '(uid=anna)'
	wait_for "grep -q '^done 1' user.log"
	end again TERM 5
	wait_for "grep -q 'no directory answers' user.log && grep -q '^later' user.log"
	directory again -p "${URL##*:}"
	wait_for "grep -q 'answers again' user.log"
	wait_for "tail -n 1 user.log | grep -q '^done 1'"
	end user TERM 5
	is "$(grep -c 'no directory answers' user.log) $(grep -c 'answers again' user.log)" '1 1' 'each is said once'
}

memory_out() {
	directory whole
	routing "server $URL"
	n=2
	while [ $n -le 40 ]; do
		lookup answer -m $n -p -n 3 -x 10 '(uid=anna)' mail
		n=$((n + 1))
	done
	like "$(paste -s -d' ' answer)" "$anna $anna $anna" 'once there was memory enough'
}

truth
together
pages
binding
clear_text
not_here
half_known
no_base
manners
big
alone
octets
several
back
memory_out
ok
