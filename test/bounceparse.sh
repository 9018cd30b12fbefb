#!/bin/sh
# bounceparse: reports of each kind - failed, delayed, delivered, relayed, with and without what RFC 3461 lets a sender ask
# for, in ASCII and beyond - are read by python3's email and by flufl.bounce, which must find no defect in them and those
# recipients who failed; and field by field. test/bounces.py has the cases, and says what is checked.
# shellcheck disable=SC2016,SC2154
. "${TEST:-$(dirname "$0")}/lib.sh"
case ${SMTPD##*/} in smtpd-test*) ;; *) skip 'test/smtpd-test is not built' ;; esac
# Debian's has it, and need not be the first one.
need python3
for python in python3 /usr/bin/python3 ''; do
	[ -n "$python" ] || skip 'python3-flufl.bounce is not installed'
	! $python -c 'import flufl.bounce' 2>/dev/null || break
done

for i in sink dnsd; do
	[ ! -x "$TEST/$i" ] || { eval "$i=\$TEST/$i"; continue; }
	need "${CC:-cc}"
	${CC:-cc} -o "$T/$i" "$TEST/$i.c" || fail "test/$i.c does not compile"
	eval "$i=\$T/$i"
done

# --- who is there: one that knows all, and has no patience; one that knows nothing; and two that speak strangely ---

spawn able "$sink" -g 1000000 -o 'PIPELINING,SIZE 5000,8BITMIME,DSN,ENHANCEDSTATUSCODES,SMTPUTF8'
spawn old "$sink" -o PIPELINING
cat >zone <<'END'
*.to.test    60 MX 10 mx.sink.test
mx.sink.test 60 A 127.0.0.1
null.test    60 MX 0 .
self.test    60 MX 10 mail.here.test
fails.test   servfail
END
spawn dns "$dnsd" zone
for i in able old dns; do wait_for "grep -q 'listening on' $i.log"; done
port_in() { sed -n 's/^[a-z]* listening on .*://p' "$1.log"; }

strange() {
	printf 'S: 220 odd.test\nC: EHLO *\nS: 250-odd.test\nS: 250-SIZE 100000\nS: 250 8BITMIME\n'
	printf 'C: MAIL FROM:<s@here.test>*\nS: 250 ok\nC: RCPT TO:*\n'
	cat
}
{
	printf 'S: 550-5.7.9 We do not want it because of\\t'
	printf '\nX: 550-5.7.9 these: \\0001 \\0033[2J \\0377 \\0303\\0274 -- "\\\\\\r\\n\nX: 550-5.7.9 \nL: 800 x\nX: \\r\\n\n'
	printf 'S: 550-5.7.9\nS: 550-5.7.9 X-Evil: yes\nX: 550 5.7.9 \nL: 400 word \nX: \\r\\n\nC: *\n'
} | strange >odd.t
printf 'S: 550\nC: *\n' | strange >mute.t
peer odd.t; odd=$PEER
peer mute.t; mute=$PEER

cat >conf <<END
resolver 127.0.0.1:$(port_in dns)
server here {
    general { listen 127.0.0.1:0; hostname mail.here.test; mailroot m }
    messages { queue-warning unlimited unlimited }
    access { relay only 127.0.0.0/8 }
    delivery { port $(port_in able); retry 1h; glitch-retry 60s 1; notify 12h; expire 2d }
    domain here.test default
    domain old.test  remote { smart-host [127.0.0.1]:$(port_in old) }
    domain odd.test  remote { smart-host [127.0.0.1]:$odd }
    domain mute.test remote { smart-host [127.0.0.1]:$mute }
}
END
CLOCK_FILE=$T/clock; export CLOCK_FILE
# The clock goes ahead; and a client comes, so that the server looks at it.
later() { echo "$1" >clock.new; mv clock.new clock; printf '%s\n' 'EHLO x' QUIT | say >/dev/null; }
check() { $python "$TEST/bounces.py" check m/Drop "$1" >said || { sed 30q said >&2; fail "$1: $(wc -l <said) complaints"; }; }

start_server conf
$python "$TEST/bounces.py" send "$PORT" >refused || fail 'not all could be sent'
check now
# Who fails at the name servers is tried again once more, before the hours go by.
wait_for 'grep -q "destination=fails.test" server.log'
later 43300
check delayed
later 172900
check expired
wait_for '[ -z "$(messages m/Queue)" ]'
is "$(messages m/Badmail | sed 's/.*\.//' | sort | tr '\n' ' ')" 'eml txt ' 'what cannot be returned, because nobody sent it'
stop_server
end able TERM 5; end old TERM 5
is "$(grep '^hasty' able.log old.log)" ''
ok "$(tail -n 1 said)"
