#!/bin/sh
# relay_broken: servers that answer with what is no reply, that hang up at any step, or say more than they were asked for.
# No mail is lost by it, and none is returned.
. "${TEST:-$(dirname "$0")}/lib.sh"
. "$TEST/relay"

# --- what is no reply: as a greeting, and in the midst of a transaction ---

garbage() {
	printf '%s\n' "X: $2" E: | scene "greet_$1"
	printf '%s\n' hello mail 'C: RCPT TO:<a@%>' "X: $2" E: | scene "rcpt_$1"
	broken="$broken $1"
}
broken=''
garbage html  '<html>\r\n'
garbage short '25\r\n'
garbage empty '\r\n'
garbage code  '999 ok\r\n'
garbage one   '199 ok\r\n'
garbage glued '250ok\r\n'
garbage nul   '25\0000 ok\r\n'
garbage space ' 250 ok\r\n'
garbage other '250-ok\r\n251 ok\r\n'
garbage mixed '250-ok\r\n550 no\r\n' </dev/null
scene greet_long <<'E'
X: 220 
L: 5000 x
X: \r\n
E:
E
scene rcpt_long <<'E'
hello
mail
C: RCPT TO:<a@%>
X: 250 
L: 5000 x
X: \r\n
E:
E
scene greet_endless <<'E'
L: 200 220-x\r\n
E:
E
scene rcpt_endless <<'E'
hello
mail
C: RCPT TO:<a@%>
L: 200 250-x\r\n
E:
E
broken="$broken long endless"

# --- what is one, somehow ---

scene odd <<'E'
X: 220\r\n
C: EHLO mail.here.example
L: 50 250-x\r\n
X: 250 \0000\0033[2J\0377 pipelining\r\n
C: MAIL FROM:<s@here.example>
X: 250\n
rcpt a
data
C* .
X: 250 \0000\0001"\0033[31m\0377\\\r\n
quit
E

scene dirty <<'E'
hello
mail
C: RCPT TO:<a@%>
X: 550 5.1.1 \0033[31m\0377 no\r\n
C: RSET
S: 250 reset
quit
E

# --- the connection ends: before the greeting, and then after each step ---

blurt gone_at_once </dev/null
printf '220-x\r\n220-' | blurt gone_in_greeting
scene gone_after_greeting <<'E'
S: 220 x
C: EHLO mail.here.example
E
scene gone_in_ehlo <<'E'
S: 220 x
C: EHLO mail.here.example
X: 250-x\r\n250-PIPELINING\r\n
E
scene gone_after_ehlo <<'E'
hello
C: MAIL FROM:<s@here.example>
E
scene gone_after_mail <<'E'
hello
mail
C: RCPT TO:<a@%>
E
scene gone_after_rcpt <<'E'
hello
mail
rcpt a
C: DATA
E
scene gone_after_data <<'E'
hello
mail
rcpt a
data
E
scene gone_in_content <<'E'
hello
mail
rcpt a
data
C* a line of much text*
E
scene gone_after_end <<'E'
hello
mail
rcpt a
data
C* .
E
scene gone_in_end <<'E'
hello
mail
rcpt a
data
C* .
X: 250 2.0.0 ta
E
scene gone_after_all <<'E'
hello
mail
rcpt a
data
end
E
scene gone_for_quit <<'E'
hello
mail
rcpt a
data
end
C: QUIT
E
# Of a lost connection nothing is known but what was answered.
scene gone_in_some <<'E'
hello
mail
rcpt a 550 5.1.1 nobody
rcpt b
C: RCPT TO:<c@%>
E

# --- more than was asked for ---

scene early <<'E'
hello
mail
rcpt a 550-5.1.1 nobody
S: 550 here
X: 250 and one more\r\n
E
scene ahead <<'E'
hello
C: MAIL FROM:<s@here.example>
X: 250 sender\r\n250 recipient\r\n
rcpt a 550 5.1.1 nobody
C: DATA
E
scene after <<'E'
hello
mail
rcpt a
data
C* .
X: 250 2.0.0 taken\r\n250 and another one\r\n250 and another one\r\n
E:
E
scene refusal <<'E'
hello
mail
rcpt a
data
C* Subject: refusal
S: 552 5.3.4 that is too much
E

for i in $(scenes); do
	case $i in
	gone_in_some)   echo "this is $i" | letter $i a b c ;;
	refusal | gone_in_content) awk 'BEGIN { while (n++ < 200000) print "a line of much text that is not read by the other side" }' | letter $i ;;
	*)              echo "this is $i" | letter $i ;;
	esac
done
play_scenes 'messages { max-size 100M }'

for i in $broken; do
	backed_off greet_$i '4.4.2 \[127.0.0.1\]:* answered with what is no reply'
	deferred rcpt_$i a '4.4.2 \[127.0.0.1\]:* answered with what is no reply'
done
relayed odd a '250 *'
gone='4.4.2 \[127.0.0.1\]:* closed the connection'
for i in at_once in_greeting after_greeting in_ehlo; do backed_off gone_$i "$gone"; done
for i in after_ehlo after_mail after_rcpt after_data in_content after_end in_end; do deferred gone_$i a "$gone"; done
is "$(grep -c ' doubtful ' server.log)" 3 'doubtful ones'
for i in after_all for_quit; do relayed gone_$i a; done
failed gone_in_some a '550 5.1.1 nobody' 5.1.1
deferred gone_in_some b,c "$gone"

failed early a '550 5.1.1 nobody here' 5.1.1
relayed after a
failed refusal a '552 5.3.4 that is too much' 5.3.4
[ -n "$(queued ahead)" ] || failed ahead a '550 5.1.1 nobody' 5.1.1      # the one or the other is answered
failed dirty a '550 5.1.1 \?\[31m\? no' 5.1.1
cat m/Drop/*.eml | tr -d '\r' | LC_ALL=C grep -q '[^ -~	]' && fail 'there are control characters in a report'
LC_ALL=C grep -q '[^ -~	]' server.log && fail 'there are control characters in the log'
LC_ALL=C grep -q '[^ -~	]' m/Queue/*.txt && fail 'there are control characters in ID.txt'
stop_server
ok "$(ls ./*.t | wc -l) conversations"
