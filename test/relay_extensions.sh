#!/bin/sh
# relay_extensions: what a remote domain's row hides is not used, though the other side offers it; nor what is nothing
# without it.
. "${TEST:-$(dirname "$0")}/lib.sh"
. "$TEST/relay"

# No parameter, and as many recipients as there are.
scene plain <<'E'
hello PIPELINING SIZE_10 8BITMIME CHUNKING BINARYMIME SMTPUTF8 DSN LIMITS_RCPTMAX=1 HELP
C: MAIL FROM:<s@here.example>
S: 250 ok
C: RCPT TO:<a@plain.example>
S: 250 ok
C: RCPT TO:<b@plain.example>
S: 250 ok
data
C* =C3=BC
end
quit
E
echo 'ü' | mail='BODY=8BITMIME RET=HDRS' rcpt=NOTIFY=FAILURE letter plain a b
# Binary needs CHUNKING.
scene binary <<'E'
hello 8BITMIME BINARYMIME CHUNKING
quit
E
printf '%s\n' 'MAIL FROM:<s@here.example> BODY=BINARYMIME' 'RCPT TO:<a@binary.example>' 'BDAT 8 LAST' 'a: b' '' >>letters
# One command at a time: MAIL has no answer yet.
printf '%s\r\n' '220 x' 250-x '250 PIPELINING' | blurt alone
echo | letter alone
rows='extensions -PIPELINING -SIZE -8BITMIME -CHUNKING; extensions -DSN -LIMITS'
play_scenes

relayed plain a,b
logged binary failed a reason '5.6.3 * takes no binary messages; *'
wait_for 'grep -q "deferred.*@alone.example" server.log || grep -q "destination=alone.example" server.log'
is "$(tr -d '\r' <alone.1.t.out)" 'EHLO mail.here.example
MAIL FROM:<s@here.example>' 'what came before the answer to MAIL'
stop_server
