#!/bin/sh
# Goal: goaccess takes every line of our protocol logs, by the command that README and the manual show: real sessions, in
# both directions, and what hostile clients say. (The iis format it does not know.)
. "${TEST:-$(dirname "$0")}/lib.sh"
. "$TEST/relay"
need goaccess

scene peer <<'E'
hello SIZE_100000
mail 250 2.1.0 fine, "so far" + %20
rcpt a 550 5.1.1 no such person; try http://elsewhere.example/?q=1
rcpt b
data
end
quit
E
echo 'Subject: x' | letter peer a b
play_scenes 'general { log w3c never logs }'
relayed peer b
hostile() {
	printf 'EHLO a"b,c;d\r\nEHLO %%0d%%0a+\r\nEHLO -\r\nEHLO #a?b&c=d\r\nEHLO [IPv6:::1]\r\nMAIL FROM:<"a b\\" \r\t"@x>\r\nRSET \033]0;x\007\r\n'
	printf 'MAIL FROM:<a+b?c%%20d&e=f@x.example> SIZE=1 BODY=8BITMIME\r\nRCPT TO:<\303\251@here.example>\r\nRCPT TO:<a@here.example>\r\n'
	printf 'BDAT 3\r\nabcBDAT 3 LAST\r\nabcGARBAGE\r\n\r\n \r\n-\r\nVRFY a b c\r\nHELP\r\nAUTH LOGIN\r\nGET / HTTP/1.1\r\n'
}
long() { awk 'BEGIN { printf "NOOP "; for (; i++ < 4000;) printf "\351"; print "\r\nQUIT\r" }'; }
hostile | talk >/dev/null
long | talk >/dev/null
awk 'BEGIN { for (; i++ < 25;) print "X\r" }' | talk >/dev/null
wait_for 'grep -q " QUIT .* 221 " m/logs/extend.log'
stop_server
read -r options <<'E'
--log-format='%d %t %h %e %U %q %s %b %^ %L' --date-format=%Y-%m-%d --time-format=%T --no-strict-status
E
grep -qF -e "$options" "$TOP/README" || fail 'README has another command'

# all_taken LOG OPTION ...
all_taken() {
	file=$1 lines=$(grep -vc '^#' "$1"); shift
	[ "$lines" -gt 30 ] || fail "$file has only $lines records"
	goaccess "$file" --no-global-config "$@" --no-progress --invalid-requests=refused -o report.json >goaccess.log 2>&1 ||
		fail "goaccess: $(cat goaccess.log)"
	[ ! -s refused ] || fail "not taken: $(cat refused)"
	for key in total:$lines valid:$lines failed:0; do
		grep -q "\"${key%:*}_requests\": ${key#*:}," report.json || fail "$file: not ${key#*:} ${key%:*}: $(sed -n '/requests"/p' report.json | head -n 4)"
	done
}
eval "all_taken m/logs/extend.log $options"
sed 's/w3c never/ncsa never/' scenes.conf >ncsa.conf
rm -r m
start_server ncsa.conf
hostile | talk >/dev/null
long | talk >/dev/null
{ cat letters; echo QUIT; } | say >/dev/null
awk 'BEGIN { for (; i++ < 25;) print "X\r" }' | talk >/dev/null
wait_for 'grep -q "\"- -?4.7.0+Too+many+errors" m/logs/ncsa.log'
stop_server
all_taken m/logs/ncsa.log --log-format=COMMON --no-strict-status
ok
