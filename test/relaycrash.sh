#!/bin/sh
# relaycrash: 250 is a promise for mail that goes on to others, too. RELAY_MESSAGES (1000) are sent to a tenth as many
# domains, at most 500, with names from test/dnsd; one domain in ten is dead, one is grey, others misbehave (test/sink
# tells how). Meanwhile the server is killed RELAY_KILLS (4) times, at random moments, and started again. Then each
# recipient has his copy, or its sender has one bounce that tells of him: never both, never two, and a copy more only
# for each time that a connection died between the final dot and its reply. What arrives is what was sent. 10000
# messages take more than a minute: TEST_LIMIT=300.
# shellcheck disable=SC2012,SC2016,SC2154
. "${TEST:-$(dirname "$0")}/lib.sh"
messages=${RELAY_MESSAGES:-1000} kills=${RELAY_KILLS:-4} rate=${RELAY_RATE:-200}
domains=$((messages / 10)); [ $domains -le 500 ] || domains=500
expire=$((messages / 1000 + 5)); [ $expire -le 15 ] || expire=15

tools sink bulk dnsd

# --- who is there ---

# On Linux all of 127.0.0.0/8 is ours, so that a host can be there and turn everybody away.
[ "$(uname)" = Linux ] && away=127.0.0.3 || away=
spawn sink "$sink" -w 5
wait_for 'grep -q listening sink.log'
SINK=$(sed -n 's/^sink listening on .*://p' sink.log)
[ -z "$away" ] || spawn away "$sink" -x -p $away:"$SINK"
cat >zone <<-END
	*.to.example      60 MX 10 mx.sink.example
	*.second.example  60 MX 10 mx.refuses.example
	*.second.example  60 MX 20 mx.sink.example
	*.refuses.example 60 MX 10 mx.refuses.example
	*.away.example    60 MX 10 mx.away.example
	mx.sink.example   60 A 127.0.0.1
	mx.refuses.example 60 AAAA ::1
	${away:+mx.away.example 60 A $away}
	*.fails.example   servfail
	*.silent.example  silent
END
spawn dns "$dnsd" zone
wait_for 'grep -q listening dns.log'
DNS=$(sed -n 's/^dnsd listening on .*://p' dns.log)

# The port stays the same, so it must be one that the system gives to nobody while the server is down: lower than those
# that it picks by itself.
own_nc
port=$((5000 + $$ % 5000))
while limit 5 "$own" "$HOST" $port </dev/null >/dev/null 2>&1; do port=$((port + 1)); done
cat >relay.conf <<-END
	resolver $HOST:$DNS
	server relay {
	    general { listen $HOST:$port; hostname mail.here.example; mailroot root }
	    access { relay only 127.0.0.0/8 }
	    delivery {
	        port $SINK; retry 1s 2s; glitch-retry 1s 1; expire ${expire}s; notify unlimited; timeout 5s
	        connections 200; connections-per-domain 10
	    }
	    domain here.example default { drop Drop }
	}
END

# --- what is sent ---

# Each recipient gets one message only, so a grey one is grey for each. One message of ten has four of them, and of
# fifty messages one has somebody unknown.
awk -v messages="$messages" -v domains=$domains 'BEGIN {
	split("refuses away refuses fails refuses gone away silent", dead)
	split("grey plain plain drop slow full plain busy second", kind)
	for (i = 0; i < domains; i++) {
		k = i % 10 == 0 ? "dead" : kind[i % 10]
		domain[i] = k i "." (k == "dead" ? dead[int(i / 10) % 8 + 1] : k == "second" ? k : "to") ".example"
	}
	for (i = 1; i <= messages; i++) {
		printf "m%d s%d@here.example", i, i
		for (j = 0; j < (i % 10 == 4 ? 4 : 1); j++)
			printf " %s%dx%d@%s", i % 50 == 3 && j == 0 ? "bad" : "u", i, j,
			    domain[(i * 7 + j * (i % 20 == 4 ? 13 : 16)) % domains]
		print ""
	}
}' >list

# --- what became of it ---

# pairs FOLDER ...: of each message in there `open TOKEN RECIPIENT' and `bounced TOKEN RECIPIENT'.
pairs() {
	for folder; do
		find "root/$folder" -type f -name '*.eml' -exec awk '
			function flush(  i) {
				for (i = 0; i < opens; i++) print "open", token, open[i]
				for (i = 0; i < fails; i++) print "bounced", token, fail[i]
				opens = fails = 0; token = last = ""; head = 1
			}
			{ sub(/\r$/, "") }
			FNR == 1 { flush() }
			head && sub(/^x-(receiver|notified): /, "") { open[opens++] = $1 }
			/^Return-Path:/ { head = 0 }
			/^X-Token: / && token == "" { token = $2 }
			/^Final-Recipient: / { last = $NF; sub(/^rfc822;/, "", last) }
			/^Action: failed/ && last != "" { fail[fails++] = last; last = "" }
			END { flush() }' {} +
	done
}

# What was promised so far is taken, returned or still open at this moment, while nobody is there to mend anything.
audit() {
	grep '^promised ' client.log >now.promised
	sed -n 's/^took \([^ ]*\) .* to=<\([^>]*\)>.*/took \1 \2/p' sink.log >now.there
	pairs Queue Drop >>now.there
	awk 'FILENAME == "now.there" { there[$2, $3]; next } !(($2, $3) in there) { print $2, $3 }' \
		now.there now.promised >now.lost
	[ ! -s now.lost ] || fail "after $1: $(wc -l <now.lost) recipients are lost, among them $(sed 1q now.lost)"
}
# The log of each life, for who wants to look.
keep_log() { cat server.log >>lives; }
promises() { grep -c '^promised ' client.log; }

start_server relay.conf
spawn client $SH -c 'exec "$@" <list' client "$bulk" -c 50 -r "$rate" $port
all=$(awk '{ n += NF - 2 } END { print n }' list)
# From when the first comes until the last ones expire.
kill=0
awk -v kills="$kills" -v span=$((messages / rate + expire)) -v seed=$$ 'BEGIN {
	srand(seed)
	while (kills > 0 && i++ < kills) printf "%.3f\n", span / kills * (.3 + rand())
}' >naps
while read -r nap; do
	kill=$((kill + 1))
	sleep "$nap" 2>/dev/null || sleep "${nap%.*}"
	kill_server
	keep_log
	audit "kill $kill"
	start_server relay.conf
done <naps
wait_for '[ -e client.rc ]' 600
end client TERM 1
[ "$rc" = 0 ] || fail 'the client got a reply that does not belong'
wait_for '[ -z "$(ls root/Queue)" ]' $((expire * 2 + 30))
stop_server
keep_log
end sink TERM 5
audit 'the end'

for folder in Pickup SortTemp Badmail; do
	is "$(ls root/$folder)" '' "something is left in $folder"
done
is "$(grep -E '^(broken|hasty)' sink.log)" '' 'what was taken is not what was sent'
is "$(promises)" "$all" 'promises'

# Copies of which the server knows are those with a reply that something followed. Who is not dead and comes back all
# the same was not waited for long enough, by a slow machine: they may be a few.
pairs Drop >returned
awk '
	function kind(rcpt) { sub(/.*@/, "", rcpt); sub(/[0-9].*/, "", rcpt); return rcpt }
	function bad(why) { print why ": " p; wrong = 1 }
	FILENAME == "client.log" { p = $2 " " $3; of[p] = $1; next }
	FILENAME == "returned" { p = $2 " " $3; if ($1 == "bounced") bounces[p]++; else here++; next }
	$1 == "took" {
		match($0, / to=<[^>]*>/)
		p = $2 " " substr($0, RSTART + 5, RLENGTH - 6)
		copies[p]++; total++
		if (/ reply=no /) { silent++; doubts[p]++ }
	}
	$1 == "unheard" { p = $2 " " substr($3, 5, length($3) - 5); unheard++; doubts[p]++ }
	END {
		for (p in copies) if (!(p in of)) bad("nobody sent this")
		for (p in bounces) {
			if (!(p in of)) bad("nobody sent what is returned here")
			returns++
		}
		for (p in of) {
			heard = copies[p] - doubts[p]
			split(p, word); k = kind(word[2])
			if (copies[p] > 1) twice += copies[p] - 1
			if (of[p] == "promised" && copies[p] + bounces[p] == 0) bad("neither taken nor returned")
			if (bounces[p] > 1) bad("returned " bounces[p] " times")
			if (heard > 1) bad("taken " copies[p] " times, in doubt only " doubts[p] + 0)
			if (heard > 0 && bounces[p] > 0) bad("both taken and returned")
			if (bounces[p] > 0 && k != "dead" && word[2] !~ /^bad/ && !doubts[p]) late[++lates] = p
			all++
			if (of[p] == "doubtful") doubtful++
		}
		if (lates > all / 20) for (i in late) { p = late[i]; bad("returned, but not dead") }
		printf "%d copies taken, %d of them again (%d without reply, %d unheard); %d recipients returned in %d bounces, " \
		    "%d of them too soon; %d times in doubt whether accepted\n",
		    total, twice, silent, unheard, returns, here, lates, doubtful
		exit wrong
	}' client.log returned sink.log >said || { sort said | sed 20q >&2; fail "$(grep -c : said) recipients fared ill"; }

ok "$messages messages, $all recipients, $domains domains, $kills kills: $(tail -n 1 said)"
