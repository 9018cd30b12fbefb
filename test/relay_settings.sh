#!/bin/sh
# relay_settings: what else can be said of relaying has its effect: masquerade, helo-only, port, timeout; which row rules a
# domain; and mail does not come back to us.
. "${TEST:-$(dirname "$0")}/lib.sh"
. "$TEST/relay"

# Our own domains are behind another name, in MAIL and where reports come from; others are left alone.
scene masked <<'E'
S: 220 x
C: HELO mail.here.example
S: 250 x
C: MAIL FROM:<s@world.example>
S: 250 ok
rcpt a
data
end
C: MAIL FROM:<s@other.example>
S: 250 ok
rcpt b
data
end
C: MAIL FROM:<>
S: 250 ok
rcpt c 550 nobody
rset
C: MAIL FROM:<s@world.example>
S: 250 ok
rcpt d 550 nobody
rset
quit
E
letter masked a </dev/null
letter masked b </dev/null
letter masked c </dev/null
letter masked d </dev/null
awk '/^MAIL/ { n++; if (n == 2) $0 = "MAIL FROM:<s@other.example>"; if (n == 3) $0 = "MAIL FROM:<>" } { print }' letters >letters.new
mv letters.new letters

# Who is silent is not waited for.
scene silent <<'E'
S: 220 x
C: HELO mail.here.example
E:
E
scene silent_end <<'E'
S: 220 x
C: HELO mail.here.example
S: 250 x
C: MAIL FROM:<s@world.example>
S: 250 ok
rcpt a
data
C* .
E:
E
echo | letter silent
echo | letter silent_end
rows='helo-only yes'
play_scenes 'messages { per-connection 4 }; delivery { masquerade world.example; timeout 4s; connections-per-domain 1 }'

logged masked relayed a reply '250 2.0.0 taken'
logged masked relayed b reply '250 2.0.0 taken'
logged masked failed c reason '550 nobody'
grep -q '^x-rejected: c@masked.example' m/Badmail/*.eml || fail 'no Badmail'
failed masked d '550 nobody' 5.0.0
grep -q '^From: .*<postmaster@world.example>' $report || fail 'the report comes from somebody else'
is "$(queued masked)" ''
backed_off silent '4.4.2 \[127.0.0.1\]:* was silent for too long'
deferred silent_end a '4.4.2 \[127.0.0.1\]:* was silent for too long'
is "$(grep -c ' doubtful ' server.log)" 1
stop_server

# --- a port for all, the rows of domains ---

mkdir ports
cat >ports/peer.t <<'E'
S: 220 x
C: EHLO mail.here.example
S: 250 x
C: MAIL FROM:<s@here.example>
S: 250 ok
C: RCPT TO:<a@port.example>
S: 250 ok
C: DATA
S: 354 go
C* .
S: 250 here
E
LIMIT=100 peer ports/peer.t; port=$PEER
sed 's/@port.example/@x.y.example/' ports/peer.t >ports/wild.t
LIMIT=100 peer ports/wild.t; wild=$PEER
sed 's/@port.example/@x.other.example/' ports/peer.t >ports/all.t
LIMIT=100 peer ports/all.t; all=$PEER
cat >conf <<E
resolver 127.0.0.1:1
server s {
    general { listen 127.0.0.1:0; hostname mail.here.example; mailroot p }
    access { relay only 127.0.0.1 }
    delivery { port $port }
    domain here.example default
    domain *.y.example remote { smart-host [127.0.0.1]:$wild }
    domain other.example remote { smart-host [127.0.0.1]:1 }
    domain port.example remote { smart-host [127.0.0.1] }
}
server smart {
    general { listen 127.0.0.1:0; hostname mail.here.example; mailroot q }
    access { relay only 127.0.0.1 }
    delivery { smart-host [127.0.0.1]:$all }
    domain here.example default
}
E
start_server conf
send() { printf '%s\n' 'EHLO x' 'MAIL FROM:<s@here.example>' "RCPT TO:<a@$1>" DATA '' x . QUIT | say >/dev/null; }
use s
send port.example
send x.y.example
use smart
send x.other.example
for i in port.example x.y.example x.other.example; do wait_for "grep -q 'relayed .* to=<a@$i> .*250 here' server.log"; done
is "$(cat p/Queue/* q/Queue/* 2>/dev/null)" ''

# Back to ourselves it does not go.
use s
cat >>conf <<E
server loop {
    general { listen 127.0.0.1:$PORT; hostname loop.here.example; mailroot r }
    access { relay only 127.0.0.1 }
    delivery { smart-host [127.0.0.1]:$PORT }
    domain loop.example default
}
E
stop_server
awk '/^server loop/ { on = 1 } on' conf >loop.conf
start_server loop.conf
printf '%s\n' 'EHLO x' 'MAIL FROM:<s@loop.example>' "RCPT TO:<a@far.example>" DATA '' x . QUIT | say >/dev/null
wait_for 'grep -q "failed .*reason=\"5.4.6 .* is this server itself" server.log'
wait_for 'grep -q "^Status: 5.4.6" r/Drop/*'
stop_server
for peers in 1 2 3; do peer_ends; done
ok
