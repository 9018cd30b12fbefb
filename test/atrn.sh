#!/bin/sh
# atrn: who has an account collects the mail that is held for his domains on his own connection, whose sides change roles
# (RFC 2645; TURN of RFC 821). He gets all of it and nothing else; what he has not acknowledged is held on, however the
# connection ends. In the end fetchmail collects.
# shellcheck disable=SC2012,SC2154,SC2034
. "${TEST:-$(dirname "$0")}/lib.sh"
case ${SMTPD##*/} in smtpd-test*) ;; *) skip 'test/smtpd-test is not built' ;; esac

account
cat >conf <<'END'
resolver 127.0.0.1:1
server s {
    general { listen 127.0.0.1:0; hostname mail.here.example; mailroot m }
    access { relay only 127.0.0.0/8; passwords passwords; clear-text-passwords yes }
    messages { per-connection 1 }
    domain here.example default
    domain branch.example remote { hold yes; hold-accounts anna }
    domain *.branch.example remote { hold yes; hold-accounts bert anna }
    domain bert.example remote { hold yes; hold-accounts bert }
    domain etrn.example remote { hold yes }
}
server one {
    general { listen 127.0.0.1:0; hostname mail.here.example; mailroot one }
    access { relay only 127.0.0.0/8; passwords passwords; clear-text-passwords yes }
    delivery { connections 1 }
    domain here.example default
    domain branch.example remote { hold yes; hold-accounts anna }
}
END
# letter TOKEN WHO@DOMAIN ...
letter() {
	token=$1; shift
	{
		printf '%s\n' 'EHLO x' 'MAIL FROM:<s@here.example>'
		for i; do echo "RCPT TO:<$i>"; done
		printf '%s\n' DATA "Subject: $token" '' "the text of $token" . QUIT
	} | say | grep -q '^250 2.6.0' || fail "letter $token is not taken"
}
# atrn NAME: as the client, and from ATRN on as the server; what is on standard input, with these lines besides:
#     turn COMMAND             EHLO, that, and the greetings in the other direction
#     mail TOKEN WHO [REPLY]   a message up to the dot, and what is said to it
#     quit                     QUIT, its reply, and both close
atrn() {
	awk -v auth="$PLAIN" '
		function hello() {
			print "S: 220 *"; print "C: EHLO branch.example"; print "S* 250 *"
			print "C: " auth; print "S: 235 2.7.0 Authentication succeeded"
		}
		/^hello/ { hello(); next }
		/^turn/ {
			sub(/^turn /, "")
			hello()
			print "C: " $0; print "S: 250 2.0.0 OK now reversing the connection"
			print "C: 220 branch.example"; print "S: EHLO mail.here.example"; print "C: 250 branch.example"
			next
		}
		/^mail/ {
			print "S: MAIL FROM:<s@here.example>"; print "C: 250 ok"
			print "S: RCPT TO:<" $3 ">"; print "C: 250 ok"
			print "S: DATA"; print "C: 354 go on"; print "S* Subject: " $2; print "S* ."
			$1 = $2 = $3 = ""; sub(/^ */, "")
			if ($0 != "nothing") print "C: " ($0 == "" ? "250 taken" : $0)
			next
		}
		/^quit/ { print "S: QUIT"; print "C: 221 bye"; print "E:"; next }
		{ print }' >"$1.t"
	converse "$1.t"
}
# held WHO ...: these are open in Queue, all of them.
held() {
	held_want=$(printf '%s\n' "$@" | sort | tr '\n' ' ')
	poll '[ "$(sed -n "s/^x-receiver: \([^\r]*\).*/\1/p" m/Queue/*.eml 2>/dev/null | sort | tr "\n" " ")" = "$held_want" ]' ||
		is "$(grep -h '^x-receiver' m/Queue/*.eml)" "$held_want" 'what is held'
}
said() { wait_for "grep -q '$1' server.log"; }

# Nobody has said who he is; and then he has.
start_server conf
letter 1 a@branch.example
atrn stranger <<'E'
S: 220 *
C: ATRN
S: 503 5.5.1 Say EHLO or HELO first
C: EHLO x
S* 250-ATRN
S: 250-TURN
S: 250 AUTH PLAIN LOGIN SCRAM-SHA-256
C: ATRN branch.example
S: 530 5.7.0 Authentication required
C: TURN
S: 530 5.7.0 Authentication required
C: ETRN branch.example
S: 459 *
C: QUIT
S: 221 *
E
held a@branch.example

# --- what is refused ---

atrn refused <<'E'
hello
C: ATRN bert.example
S: 450 4.7.1 ATRN request refused: that mail is not for you
C: ATRN branch.example,bert.example
S: 450 4.7.1 *
C: ATRN etrn.example
S: 450 4.7.1 *
C: ATRN here.example
S: 450 4.7.1 *
C: ATRN nobody.example
S: 450 4.7.1 *
C: ATRN branch.example,
S: 501 5.5.4 Syntax: ATRN [domain,...]
C: ATRN branch.example, sub.branch.example
S: 501 5.5.4 *
C: TURN branch.example
S: 501 5.5.4 TURN takes no argument
C: ATRN sub.branch.example
S: 453 4.2.0 You have no mail
C: MAIL FROM:<s@here.example>
S: 250 *
C: ATRN
S: 503 5.5.1 A transaction is under way; RSET ends it
C: TURN
S: 503 5.5.1 A transaction is under way; RSET ends it
C: RSET
S: 250 *
# What is said before our reply is no greeting.
X: ATRN branch.example\r\n220 branch.example\r\n
S: 503 5.5.1 Wait for the reply to ATRN before you say more
S: 500 *
X: TURN\r\nNOOP\r\n
S: 503 5.5.1 Wait for the reply to TURN before you say more
S: 250 2.0.0 OK
C: QUIT
S: 221 *
E
held a@branch.example
ok 'what is refused'

# --- what breaks ---

atrn gone <<'E'
hello
C: ATRN
S: 250 2.0.0 OK now reversing the connection
E
said 'turned server="s" host=127.0.0.1:[0-9]* reason="4.4.2 .* closed the connection"'
atrn unwilling <<'E'
hello
C: ATRN Branch.Example
S: 250 2.0.0 OK now reversing the connection
C: 554 not now
E:
E
said 'turned server="s" host=127.0.0.1:[0-9]* reason="554 not now"'
atrn babble <<'E'
hello
C: TURN
S: 250 2.0.0 OK now reversing the connection
C: hello
E:
E
said 'turned .* reason="4.4.2 .* answered with what is no reply"'
held a@branch.example
# Was it taken?  Nobody knows; so it is sent again, to whoever asks next, and at once.
atrn doubtful <<'E'
turn ATRN
mail 1 a@branch.example nothing
E
said ' doubtful host='
held a@branch.example
atrn enough <<'E'
turn ATRN
S: MAIL FROM:<s@here.example>
C: 421 enough
E:
E
held a@branch.example
note=$(ls m/Queue/*.txt)
like "$(sed '2!d' "$note")" '    4.4.0 held until somebody asks for it (hold)*'
ok 'what breaks'

# --- what is collected ---

# More than `per-connection', of two domains, in whatever order; of one message only his recipients.
letter 2 b@branch.example c@bert.example
letter 3 d@sub.branch.example
letter 4 e@bert.example
letter 5 f@etrn.example
letter 6 g@branch.example
held a@branch.example b@branch.example c@bert.example d@sub.branch.example e@bert.example f@etrn.example g@branch.example
{ echo turn ATRN; for i in 1 2 3 4; do echo 'mail * *@*branch.example'; done; echo quit; } >turn
atrn all <turn
held c@bert.example e@bert.example f@etrn.example
is "$(grep -c ' relayed ' server.log)" 4
atrn none <<'E'
hello
C: TURN
S: 453 4.2.0 You have no mail
C: QUIT
S: 221 *
E
# TURN is the same without names; with a name it is of that one only. Refusals are what they are elsewhere.
letter 7 h@branch.example
letter 8 i@branch.example j@branch.example
letter 9 k@sub.branch.example
atrn named <<'E'
turn ATRN sub.branch.example
mail 9 k@sub.branch.example
quit
E
atrn picky <<'E'
turn TURN
mail 7 h@branch.example 452 4.2.2 full
S: MAIL FROM:<s@here.example>
C: 250 ok
S: RCPT TO:<i@branch.example>
C: 550 5.1.1 nobody
S: RCPT TO:<j@branch.example>
C: 250 ok
S: DATA
C: 354 go on
S* .
C: 250 taken
quit
E
held c@bert.example e@bert.example f@etrn.example h@branch.example
said 'deferred .*to=<h@branch.example> .*reason="452 4.2.2 full"'
wait_for 'grep -q "rfc822;i@branch.example" m/Drop/*.eml'
wait_for 'grep -q "turned .*account=anna domains=sub.branch.example" server.log'
[ -n "$("$SMTPD" -f conf status metrics | grep '^smtpd_outbound_connections_total{server="s"} 8$')" ] || fail 'they do not count as ours'
ok 'what is collected'

# --- one too many ---

use one
letter 1 a@branch.example
own_nc
mkfifo pipe
spawn first "$SH" -c 'exec "$0" "$1" "$2" <pipe' "$own" "$HOST" "$PORT"
exec 7>pipe
printf '%s\r\n' 'EHLO x' "$PLAIN" ATRN >&7
wait_for 'grep -q reversing first.log'
atrn second <<'E'
hello
C: ATRN
S: 451 4.3.2 Unable to process ATRN request now
C: QUIT
S: 221 *
E
exec 7>&-
said 'turned server="one" host=.* reason='
atrn again <<'E'
turn ATRN
mail 1 a@branch.example
quit
E
wait_for '[ -z "$(ls one/Queue)" ]'
ok 'one connection of ours'
use s

# --- fetchmail ---

# It wants CRAM-MD5: a go-between takes its word for it, says PLAIN to us, and passes on all the rest.
need fetchmail python3
tools sink
cat >between.py <<'E'
import socket, sys, threading

def line(f, to=None):
    text = f.readline()
    if to and text:
        to.sendall(text)
    return text

def copy(f, to):
    while True:
        data = f.read1(65536)
        if not data:
            break
        to.sendall(data)
    to.shutdown(socket.SHUT_WR)

s = socket.socket()
s.bind(("127.0.0.1", 0))
s.listen(1)
print("listening on", s.getsockname()[1], flush=True)
c, _ = s.accept()
d = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
cf, df = c.makefile("rb"), d.makefile("rb")
line(df, c)
while True:
    said = line(cf)
    if said.upper().startswith(b"AUTH"):
        c.sendall(b"334 PDE4OTYuNjk3MTcwOTUyQGV4YW1wbGUub3JnPg==\r\n")
        line(cf)
        c.sendall(b"235 2.7.0 so you say\r\n")
        d.sendall(sys.argv[2].encode() + b"\r\n")
        assert line(df).startswith(b"235")
        break
    d.sendall(said)
    heard = line(df, c)
    while heard[3:4] == b"-":
        if heard.startswith(b"250-PIPELINING"):
            c.sendall(b"250-AUTH CRAM-MD5\r\n")
        heard = line(df, c)
t = threading.Thread(target=copy, args=(cf, d))
t.start()
copy(df, c)
t.join()
E
letter 10 l@branch.example
letter 11 m@sub.branch.example
spawn between python3 between.py "$PORT" "$PLAIN"
spawn sink "$sink"
wait_for 'grep -q listening between.log && grep -q listening sink.log'
mkdir home; HOME=$T/home FETCHMAILHOME=$T/home; export HOME FETCHMAILHOME
cat >home/rc <<E
poll 127.0.0.1 protocol ODMR port $(sed 's/.* //' between.log) user anna password secret
    fetchdomains branch.example,sub.branch.example smtphost 127.0.0.1/$(sed -n 's/^sink listening on .*://p' sink.log)
E
chmod 700 home home/rc
limit 20 fetchmail -v -f home/rc >fetchmail.log 2>&1 </dev/null || { cat fetchmail.log >&2; fail 'fetchmail is not content'; }
wait_for '[ "$(grep -c "^took .*to=<[lm]@" sink.log)" = 2 ]'
held c@bert.example e@bert.example f@etrn.example h@branch.example
stop_server
