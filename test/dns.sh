#!/bin/sh
# dns: the resolver (dns.c), asked by test/ask, against name servers that do as they are told (test/dnsd).
# - whatever a server says or does not say, the question is answered in bounded time, with the right kind of answer, and
#   no lie is believed;
# - answers are kept as long as they may be, and no longer; the memory for it is bounded;
# - servers that are dead, lame or broken are passed over;
# - ports and ids cannot be guessed.
. "${TEST:-$(dirname "$0")}/lib.sh"
[ -x "$TEST/dnsd" ] && [ -x "$TEST/ask" ] || skip 'test/dnsd and test/ask are not built'
ASAN_OPTIONS=${ASAN_OPTIONS-}${ASAN_OPTIONS+:}quarantine_size_mb=1; export ASAN_OPTIONS

# name_server NAME [ARG ...]: with the zone of standard input; `at NAME' is where, NAME.queries what it heard.
name_server() {
	ns=$1; shift
	cat >"$ns.zone"
	: >"$ns.queries"
	spawn "$ns" "$TEST/dnsd" -l "$ns.queries" "$@" "$ns.zone"
	wait_for "grep -q 'listening on' $ns.log"
}
at() { sed -n 's/.* listening on //p' "$1.log"; }

# ask OUT ARG ...: into OUT a line for each question: NAME TYPE OUTCOME RECORD, RECORD, ... ttl=N (and N is in tens
# above 10, so that it does not matter how long an answer has been kept).
ask() {
	out=$1; shift
	limit $((${LIMIT:-30} * 3)) "$TEST/ask" -v "$@" >"$out.raw" 2>"$out.usage" || {
		tail -n 40 "$out.usage" >&2
		fail "ask failed, or took too long: $*"
	}
	awk '
		/^[^ ]/      { if (line != "") print line; line = $0; comma = ""; next }
		$1 == "ttl"  { line = line " ttl=" ($2 > 10 ? int(($2 + 9) / 10) * 10 : $2); next }
		             { sub(/^ */, ""); line = line comma " " $0; comma = "," }
		END          { print line }' "$out.raw" >"$out"
}
usage()   { sed -n "s/^$2 //p" "$1.usage"; }
queries() { grep -c "${2-}" "$1.queries"; }
# answers SERVER WANT ASK-ARG ...: one question and all that is said of it.
answers() {
	to=$1 want=$2; shift 2
	ask "$test.answer" -s "$to" "$@"
	is "$(sed 's/^[^ ]* [^ ]* //' "$test.answer")" "$want" "$*"
}

# --- what is true ---

records() {
	long=$(printf '%063d' 0)
	longest=$long.$long.$long.$(printf '%056d' 0).test
	name_server truth <<-END
	test 3600 SOA 60
	a.test 300 A 192.0.2.1
	a.test 300 A 192.0.2.2
	a.test 200 AAAA 2001:db8::1
	mx.test 300 MX 10 mx1.test
	mx.test 300 MX 65535 mx2.test
	null.test 300 MX 0 .
	alias.test 100 CNAME other.test
	other.test 500 CNAME mx.test
	gone.test 100 CNAME nothing.test
	barren.test 100 CNAME a.test
	*.star.test 10 MX 1 a.test
	x.y.star.test 10 A 192.0.2.3
	1.2.0.192.in-addr.arpa 300 PTR a.test
	week.test 604800 A 192.0.2.4
	big.test huge 200
	$longest 300 A 192.0.2.5
	END
	while read -r name type want; do
		echo "$name $type" >>truth.asked
		echo "$name $type $want" >>truth.want
	done <<-END
	a.test A found 192.0.2.1, 192.0.2.2 ttl=300
	A.TEST AAAA found 2001:db8::1 ttl=200
	a.test. A found 192.0.2.1, 192.0.2.2 ttl=300
	mx.test MX found 10 mx1.test, 65535 mx2.test ttl=300
	null.test MX found 0 . ttl=300
	alias.test MX found 10 mx1.test, 65535 mx2.test ttl=100
	gone.test A nxdomain ttl=60
	barren.test MX nodata ttl=60
	one.two.star.test MX found 1 a.test ttl=10
	star.test MX nodata ttl=60
	y.star.test MX nodata ttl=60
	x.y.star.test MX nodata ttl=60
	1.2.0.192.in-addr.arpa PTR found a.test ttl=300
	week.test A found 192.0.2.4 ttl=86400
	a.test MX nodata ttl=60
	no.test A nxdomain ttl=60
	test.no A nxdomain ttl=0
	$longest A found 192.0.2.5 ttl=300
	END
	ask truth.got -s "$(at truth)" $(cat truth.asked)
	is "$(cat truth.got)" "$(cat truth.want)" 'what is true'
	is "$(queries truth) $(queries truth '^tcp')" "$(($(grep -c . truth.want) - 1)) 0" 'questions, one answered already'
	ask truth.big -s "$(at truth)" big.test A big.test AAAA big.test MX
	is "$(queries truth '^tcp')" 3 'questions by TCP when the answer is big'
	is "$(grep -c 'found.*,.*,.*ttl=300$' truth.big)" 3 'big answers'
	# What cannot be asked is not, and cannot be there.
	before=$(queries truth)
	ask truth.never -s "$(at truth)" . A "$long.$long.$long.$(printf '%057d' 0).test" A "$longest.$longest.$longest" A
	is "$(cut -d ' ' -f 3 truth.never | tr '\n' ' ')" 'nxdomain nxdomain nxdomain ' 'names that are too long'
	ask truth.never -s "$(at truth)" "0$long.test" A a..test A .a.test A
	! grep found truth.never || fail 'names of bad labels'
	is "$(queries truth)" "$before" 'questions for names that cannot be'
	is "$(queries truth malformed)" 0 'malformed questions'
	is "$(queries truth 'edns=1232')" "$(queries truth)" 'questions with EDNS'
}

# --- what is odd ---

# The outcome for A and for MX alike; `any' of them, because it does not matter as long as it is no lie. Each has the
# truth beside it: A 192.0.2.1 and MX 10 mx.test.
oddities='
	silent later            udp-silent truth        tcp-silent later        tcp-only truth
	drop-first-1 truth      drop-first-100 later    slow-200 truth          tcp-slow-5 truth
	servfail later          refused later           notimp later            nxdomain nxdomain
	lame later              empty-noerror nodata    formerr-edns truth      formerr-bare truth
	wrong-id later          wrong-question later    wrong-type later        no-question later
	not-a-response later    from-other-port later   wrong-case-ok truth     flood-40 truth
	flood-1000 any          truncate-udp truth      truncate-always later   tcp-drop later
	tcp-short later         tcp-slow-500 later      trailing-1 truth        trailing-30 truth
	short-0 later           short-1 later           short-11 later          short-12 later
	short-20 later          short-45 later          pointer-loop-0 later    pointer-loop-1 later
	pointer-loop-2 later    pointer-loop-3 later    pointer-forward any     pointer-out-0 later
	pointer-out-1 later     pointer-out-2 later     pointer-out-3 later     label-long-0 later
	label-long-64 later     label-long-126 later    name-long-0 later       name-long-1 later
	name-odd-0 any          name-odd-1 any          name-odd-2 any          name-odd-3 any
	name-odd-4 any          rdlength-lie-0 later    rdlength-lie-1 later    rdlength-lie-2 later
	rdlength-lie-3 later    count-lie-0 later       count-lie-1 later       count-lie-65000 later
	cname-loop-1 later      cname-loop-2 later      cname-loop-30 later     cname-chain-1 truth
	cname-chain-5 truth     cname-chain-30 later    extra-junk truth        glue-poison truth
	ttl-zero truth          ttl-huge truth          none nxdomain
'
odd() {
	echo $oddities | awk '{ for (i = 1; i < NF; i += 2) print $i, $(i + 1) }' >odd.table
	while read -r key outcome; do
		number=${key##*-}
		case $number in *[!0-9]*) odd=$key number='' ;; *) odd=${key%-*} ;; esac
		for type in A MX; do
			case $outcome in truth) want='found *' ;; any) want='*' ;; *) want="$outcome*" ;; esac
			[ "$outcome $type" != 'truth A' ] || want='found 192.0.2.1*'
			[ "$outcome $type" != 'truth MX' ] || want='found 10 mx.test*'
			echo "$key.$type.test $type" >>odd.asked
			echo "$want" >>odd.want
			[ $odd != none ] || continue
			echo "$key.$type.test $odd $number"
			echo "$key.$type.test 300 A 192.0.2.1"
			echo "$key.$type.test 300 MX 10 mx.test"
		done
	done <odd.table >odd.rules
	wrong() {
		sort odd.all >odd.got
		paste -d ' ' odd.asked odd.want | sort | while read -r name type want; do
			got=$(grep "^$name $type " odd.got)
			case $got in "$name $type "$want) ;; *) echo "want: $name $type $want"; echo " got: $got" ;; esac
		done
	}
	name_server odd <odd.rules
	# In a clock that is four times as fast.
	ask odd.all -s "$(at odd)" -x 4 -j 200 $(cat odd.asked)
	cp odd.queries odd.heard
	cp odd.all.raw odd.said
	# Who has much else to do is late in such a clock, and is asked once more, in ours.
	wrong >odd.wrong
	if [ -s odd.wrong ]; then
		cp odd.all odd.first
		ask odd.again -s "$(at odd)" -j 200 $(sed -n 's/^ got: \(.*\) later$/\1/p' odd.wrong) none.A.test A
		awk '{ key = $1 " " $2 } FILENAME == "odd.again" { again[key] = $0; next } { print key in again ? again[key] : $0 }' \
			odd.again odd.first >odd.all
		cat odd.again.raw >>odd.said
		wrong >odd.wrong
	fi
	[ ! -s odd.wrong ] || { cat odd.wrong >&2; fail 'oddities'; }
	! sed 's/^[^ ]* //' odd.said | grep -E '203\.0\.113|2001:db8:bad|poison|^QUIT' || fail 'a lie is believed'
	awk '$1 != "malformed" { n[$2]++ } END { for (i in n) if (n[i] > 12) { print n[i], i; bad = 1 } exit bad }' \
		odd.heard || fail 'it asks too often'
	is "$(queries odd malformed)" 0 'malformed questions'
	is "$(queries odd '^tcp flood-40')" 0 'questions by TCP after a few lies'
	for key in formerr-edns formerr-bare; do
		[ "$(queries odd "$key.a.* edns=0\$")" -gt 0 ] || fail "no question without EDNS for $key"
	done
}

# Aliases whose target is not sent along: it asks again, and not for ever.
aliases() {
	{
		for i in 0 1 2 3; do echo "n$i.test 300 CNAME n$((i + 1)).test"; echo "n$i.test cname-nowhere"; done
		echo 'n4.test 300 A 192.0.2.1'
		echo 'ping.test 300 CNAME pong.test'; echo 'ping.test cname-nowhere'
		echo 'pong.test 300 CNAME ping.test'; echo 'pong.test cname-nowhere'
		echo 'self.test 300 CNAME self.test'; echo 'self.test cname-nowhere'
		echo 'dark.test 300 CNAME silent.test'; echo 'dark.test cname-nowhere'
		echo 'silent.test silent'
		echo 'root.test 300 CNAME .'; echo 'root.test cname-nowhere'
	} | name_server aliases
	ask alias.all -s "$(at aliases)" -x 2 -j 10 n0.test A ping.test A self.test A dark.test A root.test A
	is "$(sort alias.all | sed 's/ A / /; s/ ttl.*//')" \
		"$(printf '%s\n' 'dark.test later' 'n0.test found 192.0.2.1' 'ping.test later' 'root.test nodata' 'self.test later')"
	[ "$(queries aliases)" -lt 40 ] || fail "$(queries aliases) questions for five names"
}

# --- what is kept ---

# kept SECONDS QUERIES ARG ...: so many questions reach the server when there are three, so many seconds apart.
kept() {
	step=$1 want=$2; shift 2
	: >cache.queries
	ask kept -s "$(at cache)" -w "$step" -n 3 "$@"
	is "$(queries cache)" "$want" "questions for $* each $step s"
}

caching() {
	name_server cache <<-END
	test 50 SOA 9999999
	low.test 9999999 SOA 50
	none.test 0 SOA 0
	high.test 9999999 SOA 9999999
	a.test 100 A 192.0.2.1
	a.test 200 A 192.0.2.2
	alias.test 50 CNAME a.test
	short.test 100 A 192.0.2.3
	behind.test 1000 CNAME short.test
	week.test 604800 A 192.0.2.4
	zero.test 0 A 192.0.2.5
	huge.test ttl-huge
	huge.test 300 A 192.0.2.6
	fails.test servfail
	bare.example 300 A 192.0.2.7
	lost.example nxdomain
	many.test 300 MX 10 victim.example
	victim.example 300 A 192.0.2.8
	many.test glue-poison
	END
	kept 20 1 a.test A
	kept 60 2 a.test A				# 100 s: the least of its records
	kept 0 2 a.test A A.test A a.test. A a.test AAAA
	kept 30 2 alias.test A
	kept 60 2 behind.test A
	kept 40000 1 week.test A
	kept 50000 2 week.test A			# a day at most
	kept 0 3 zero.test A
	kept 0 3 huge.test A
	kept 0 3 bare.example MX			# without an SOA
	kept 0 3 lost.example A
	kept 0 3 x.none.test A
	kept 20 1 no.test A
	kept 30 2 no.test A				# the TTL of the SOA
	kept 20 1 x.low.test A
	kept 30 2 x.low.test A				# its minimum
	kept 1500 1 x.high.test A
	kept 2000 2 x.high.test A			# an hour at most
	kept 30 2 a.test MX
	: >cache.queries; ask fails -s "$(at cache)" fails.test A; once=$(queries cache)
	kept 0 $((3 * once)) fails.test A
	# What came along with another answer is not kept.
	ask glue -s "$(at cache)" many.test MX victim.example A
	like "$(tail -n 1 glue)" '*found 192.0.2.8 ttl=300' 'after lies in the additional section'
}

# Many answers of forty records: no more memory than for 4096. And each is right, whatever was there before it.
bounded() {
	name_server bounded <<-END
	*.many.test huge 40
	*.one.test 300 A 192.0.2.1
	*.one.test 300 MX 10 mx.test
	*.two.test 300 A 192.0.2.2
	END
	ask bounded.one -s "$(at bounded)" one.many.test MX
	ask bounded.all -s "$(at bounded)" -n 12000 -j 50 %d.many.test MX
	is "$(grep -c 'MX found 1 .* ttl=300' bounded.all)" 12000
	grown=$(($(usage bounded.all memory) - $(usage bounded.one memory)))
	[ $grown -lt 15000 ] || fail "the cache takes $grown KiB"
	# Nobody gets the answer of another one who had the same place.
	ask bounded.all -s "$(at bounded)" -j 100 -n 4000 %d.one.test A %d.one.test MX %d.one.test AAAA %d.two.test A
	is "$(sed 's/^[0-9]*\.//' bounded.all | sort | uniq -c | sed 's/^ *//')" "$(printf '4000 %s\n' \
		'one.test A found 192.0.2.1 ttl=300' 'one.test AAAA nodata ttl=0' 'one.test MX found 10 mx.test ttl=300' \
		'two.test A found 192.0.2.2 ttl=300')"
	is "$(usage bounded.all open)" "$(usage bounded.one open)" 'descriptors that stay open'
}

# --- whom it asks ---

servers() {
	echo '* silent' | name_server dead
	name_server good <<-END
	*.test 0 A 192.0.2.1
	*.test 0 MX 10 mx.test
	tcp.drop tcp-drop
	*.tcp 0 A 192.0.2.1
	*.tcp truncate-udp
	END
	{ echo '* servfail'; echo 'tcp.drop tcp-drop'; } | name_server broken
	echo '* lame' | name_server lame
	echo '* tcp-drop' | name_server drops
	echo '* 0 A 192.0.2.2' | name_server no_tcp -u
	: | name_server gone
	end gone TERM 5
	for bad in dead gone broken lame drops; do
		: >good.queries; : >$bad.queries
		ask several -s "$(at $bad)" -s "$(at good)" -x 2 -n 20 %d.test A
		is "$(grep -c 'found 192.0.2.1' several)" 20 "answers beside a server that is $bad"
		# Who answers is asked first from then on.
		[ "$(queries $bad)" -le 6 ] || fail "the server that is $bad was asked $(queries $bad) times"
		: >good.queries; : >$bad.queries
		ask several -s "$(at $bad)" -s "$(at good)" -x 2 -n 200 -j 20 %d.test A
		is "$(grep -c 'found 192.0.2.1' several)" 200 "answers beside a server that is $bad, 20 at a time"
		[ "$(queries $bad)" -le 60 ] || fail "the server that is $bad was asked $(queries $bad) times, 20 at a time"
	done
	: >good.queries; : >dead.queries
	ask several -s "$(at dead)" -s "$(at gone)" -s "$(at good)" -x 2 -n 200 -j 20 %d.tcp A
	is "$(grep -c 'found 192.0.2.1' several)" 200 'answers by TCP'
	is "$(queries dead '^tcp')" 0 'questions by TCP to a dead server'
	# When all fail there is an end to it.
	for also in '' "-s $(at dead)" "-s $(at broken)" "-s $(at drops)" "-s $(at gone)"; do
		ask several -s "$(at good)" -s "$(at broken)" $also -x 4 tcp.drop A
		is "$(cat several)" 'tcp.drop A later' "good and broken $also"
	done
	[ "$(queries good 'tcp.drop')" -le 40 ] || fail "one server was asked $(queries good 'tcp.drop') times"
	answers "$(at gone)" later -x 4 a.test A
	answers "$(at no_tcp)" 'found 192.0.2.2 ttl=0' a.test A
	echo '* truncate-udp' >>no_tcp.zone
	answers "$(at no_tcp)" later -x 2 a.test A
	# The first one's word counts, also when it is no.
	: >good.queries
	echo '*.test 3600 SOA 60' | name_server denies
	ask several -s "$(at denies)" -s "$(at good)" a.b.test MX a.b A
	is "$(cut -d ' ' -f 3 several | tr '\n' ' ')" 'nodata nxdomain '
	is "$(queries good)" 0 'questions to the second'
}

six() {
	case $("$TEST/nc" ::1 1 2>&1 </dev/null) in *refused*) ;; *) return 0 ;; esac
	{ echo 'a.test 300 A 192.0.2.1'; echo 'big.test huge'; } | name_server six -a ::1
	answers "$(at six)" 'found 192.0.2.1 ttl=300' a.test A
	ask six.big -s "$(at six)" big.test A
	like "$(cat six.big)" '*found 10.0.0.1, 10.0.0.2, *'
}

# --- what cannot be guessed ---

chance() {
	echo '*.test 0 A 192.0.2.1' | name_server chance
	ask chance.all -s "$(at chance)" -n 400 %d.test A
	is "$(grep -c found chance.all)" 400
	for key in port id; do
		sed "s/.* $key=\([0-9]*\).*/\1/" chance.queries | awk -v key=$key '
			!seen[$1]++  { distinct++ }
			NR > 1       { d = $1 - last; if (d > -16 && d < 16) near++ }
			             { last = $1; eighth[int($1 / 8192)]++ }
			key == "port" && $1 < 1024 { low++ }
			END {
				for (i = 0; i < 8; i++) if (eighth[i] < 15) print "only " eighth[i] + 0 " of 400 in eighth " i
				if (distinct < 390) print "only " distinct " of 400 are distinct"
				if (near > 8) print near " follow their neighbour"
				if (low) print low " below 1024"
			}' >chance.$key
		[ ! -s chance.$key ] || fail "$key: $(cat chance.$key)"
	done
	# One that is asked again is asked from another port, under another id.
	echo 'a.test silent' >chance.zone
	: >chance.queries
	ask chance.all -s "$(at chance)" -x 8 a.test A
	is "$(sed -n 's/^udp.*port=\([0-9]*\).*/\1/p' chance.queries | sort -u | wc -l | tr -d ' ')" 2 'ports'
	is "$(sed -n 's/^udp.*id=\([0-9]*\).*/\1/p' chance.queries | sort -u | wc -l | tr -d ' ')" 2 'ids'
}

# --- the hosts file, memory ---

hosts() {
	cat >hosts.txt <<-END
	# a comment
	127.0.0.1	localhost Local.TEST	# local2.test
	::1 localhost
	192.0.2.1 a.test b.test
	192.0.2.2 a.test
	2001:db8::1	c.test
	fe80::1%lo0 d.test
	nonsense e.test
	192.0.2.9
	END
	{ echo '*.test 300 A 198.51.100.1'; echo '*.test 300 MX 10 a.test'; } | name_server net
	while read -r name type want; do
		echo "$name $type" >>hosts.asked
		echo "$name $type $want" >>hosts.want
	done <<-END
	localhost A found 127.0.0.1 ttl=5
	LOCALHOST AAAA found ::1 ttl=5
	local.test. A found 127.0.0.1 ttl=5
	a.test A found 192.0.2.1, 192.0.2.2 ttl=5
	b.test A found 192.0.2.1 ttl=5
	b.test AAAA nodata ttl=5
	c.test A nodata ttl=5
	c.test AAAA found 2001:db8::1 ttl=5
	1.2.0.192.in-addr.arpa PTR found a.test, b.test ttl=5
	1.0.0.127.in-addr.arpa PTR found localhost, local.test ttl=5
	9.2.0.192.in-addr.arpa PTR nodata ttl=5
	8.2.0.192.in-addr.arpa PTR nxdomain ttl=0
	local2.test A found 198.51.100.1 ttl=300
	e.test A found 198.51.100.1 ttl=300
	a.test MX found 10 a.test ttl=300
	test A nodata ttl=0
	END
	ask hosts.got -h hosts.txt -s "$(at net)" $(cat hosts.asked)
	is "$(cat hosts.got)" "$(cat hosts.want)" 'the hosts file'
	is "$(queries net)" 5 'questions in spite of the hosts file'
	ask hosts.got -h nowhere -s "$(at net)" a.test A
	like "$(cat hosts.got)" '*found 198.51.100.1 *' 'without a hosts file'
}

# Whichever call fails, the answer is the right one or none.
memory() {
	{ echo '*.test 300 A 192.0.2.1'; echo 'big.test huge 200'; } | name_server memory
	for nth in 1 2 3 4 5 6 7 8 9 10 11 12; do
		ask scarce -s "$(at memory)" -m $nth a.test A a.test A big.test A b.test A
		grep -v -E '^(a|b).test A (found 192.0.2.1 ttl=300|memory)$|^big.test A (found 10.0.0.1, .*|memory|later)$' scarce &&
			fail "when memory is out at its use $nth"
		[ "$(grep -c -E 'memory|later' scarce)" -le 1 ] || fail "failures when memory is out at its use $nth"
	done
}

# Side by side, because most of it is waiting.
jobs=''
for test in records odd aliases caching bounded servers six chance hosts memory; do
	( $test ) & jobs="$jobs $!"
done
for job in $jobs; do wait "$job" || bad=1; done
[ -z "${bad-}" ] || fail 'see above'
ok "$(awk 'END { print NR }' ./*.queries) questions heard"
