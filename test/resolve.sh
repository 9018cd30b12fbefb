#!/bin/sh
# resolve: what is asked of a directory that does as it is told (test/directory).
# - equal questions are one, whoever asks, and answers are remembered; a client that is gone harms nobody;
# - what was pipelined behind a recipient that is asked about is asked about with it, and answered in its order;
# - members that are given out in parts (range=0-1) are all asked for;
# - while it says nothing, or nothing that can be used, mail for our domains waits and all other mail goes on; a reload
#   asks the directory of then.
# shellcheck disable=SC2012,SC2046
. "${TEST:-$(dirname "$0")}/lib.sh"
tools directory sink

cat >people <<'E'
dn: cn=Jo,dc=example,dc=org
objectClass: user
mail: jo@example.org

dn: cn=Al,dc=example,dc=org
objectClass: user
mail: al@example.org

dn: cn=Bo,dc=example,dc=org
objectClass: user
mail: bo@example.org

dn: cn=Parts,dc=example,dc=org
objectClass: group
mail: parts@example.org
member;range=0-0: cn=Jo,dc=example,dc=org
member;range=1-*: cn=Al,dc=example,dc=org

dn: cn=Again,dc=example,dc=org
objectClass: group
mail: again@example.org
member;range=0-1: cn=Jo,dc=example,dc=org
member;range=2-*: cn=Bo,dc=example,dc=org

E
spawn sink "$sink"
wait_for 'grep -q listening sink.log'
# listens NAME [MANNER ...]: its URL is $URL, what it heard is in NAME.said.
listens() {
	name=$1; shift
	: >"$name.said"
	# shellcheck disable=SC2068
	spawn "$name" "$directory" -l "$T/$name.said" $@ people
	wait_for "grep -q 'listening on' $name.log"
	URL=ldap://$(sed -n 's/.*listening on //p' "$name.log")
}
configuration() {
	cat <<E
resolver 127.0.0.1:1
server s {
    general { listen 127.0.0.1:0; hostname mail.example.org; mailroot m }
    access { relay only 127.0.0.0/8 }
    delivery { port $(sed -n 's/^sink listening on .*://p' sink.log); smart-host [127.0.0.1]; glitch-retry 1s 3; retry 1s }
    ldap-routing { server $URL; base dc=example,dc=org; timeout 2s; filter "(mail=%s)" }
    domain example.org default
}
E
}
hand() {
	{
		echo 'x-sender: a@client.test'
		for i; do echo "x-receiver: $i"; done
		printf '%s\n' 'From: a@client.test' 'Subject: x' '' x
	} >note
	mv note m/Pickup/note
}
here() { cat m/Drop/*.eml 2>/dev/null | tr -d '\r' | sed -n 's/^x-receiver: //p' | sort | tr '\n' ' '; }
idle() { [ -z "$(ls m/Queue | grep eml)" ]; }

# --- one question, many who ask ---

listens slow -m wait:300
configuration >conf
start_server conf -v
for i in 1 2 3 4 5 6; do
	printf '%s\n' 'EHLO x' 'MAIL FROM:<>' 'RCPT TO:<jo@example.org>' 'RCPT TO:<jo@far.example>' 'RCPT TO:<JO@example.org>' 'RCPT TO:<no@example.org>' \
	    DATA "Subject: $i" '' x . 'MAIL FROM:<>' 'RCPT TO:<no@example.org>' QUIT | say | sed -n 's/^\([2-5][0-9][0-9] [2-5]\.[0-9]\.[0-9]\).*/\1/p' | tr '\n' ' ' >said.$i &
	jobs="${jobs-} $!"
done
wait $jobs
for i in 1 2 3 4 5 6; do
	is "$(cat said.$i)" '250 2.1.0 250 2.1.5 250 2.1.5 250 2.1.5 550 5.1.1 250 2.6.0 250 2.1.0 550 5.1.1 221 2.0.0 ' "client $i"
done
is "$(grep -c '^search.*mail=jo@' slow.said) $(grep -c '^search.*mail=no@' slow.said)" '1 1' 'questions'
wait_for 'idle && [ "$(here | wc -w | tr -d " ")" -ge 6 ]'
# One that does not wait for the answer: others go on.
printf 'EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<gone@example.org>\r\n' | LIMIT=1 talk >said 2>&1
printf '%s\n' 'EHLO x' 'MAIL FROM:<>' 'RCPT TO:<gone@example.org>' QUIT | say | grep -q '^550 5.1.1' || fail 'not answered'
# What was pipelined is asked about at once: who is behind one that nobody answers has been answered before.
listens mute -m mute:al@
configuration >conf
kill -HUP "$(cat server.pid)"
wait_for 'grep -q "was read again" server.log'
printf '%s\n' 'EHLO x' 'MAIL FROM:<>' 'RCPT TO:<al@example.org>' 'RCPT TO:<>' 'RCPT TO:<x@far.example>' 'RCPT TO:<bo@example.org>' QUIT | say |
    sed -n 's/^\([2-5][0-9][0-9] [2-5]\.[0-9]\.[0-9]\).*/\1/p' | tr '\n' ' ' >said
is "$(cat said)" '250 2.1.0 451 4.4.3 501 5.1.3 250 2.1.5 250 2.1.5 221 2.0.0 ' 'behind one that is not answered'
is "$(sed -n 's/.*filter="(mail=\([a-z]*\)@.*/\1/p' server.log | tail -n 2 | tr '\n' ' ')" 'bo al ' 'one after the other'
end mute TERM 2
listens good
configuration >conf
kill -HUP "$(cat server.pid)"
wait_for '[ "$(grep -c "was read again" server.log)" = 2 ]'
rm -f m/Drop/*

# --- parts ---

hand parts@example.org again@example.org
wait_for '[ "$(here)" = "al@example.org bo@example.org jo@example.org " ] && idle'
ok 'parts'
end good TERM 2

# --- it says nothing; nonsense; and then it is mended ---

for manner in silent mute wrong-id deep raw:3003020105 disconnect close:30 endless; do
	rm -f m/Drop/*
	deferred=$(grep -c deferred server.log) read=$(grep -c "was read again" server.log) sent=$(grep -c x@far sink.log)
	listens bad -m $manner
	configuration >conf
	kill -HUP "$(cat server.pid)"
	wait_for '[ "$(grep -c "was read again" server.log)" -gt $read ]'
	hand jo@example.org x@far.example postmaster@example.org
	wait_for '[ "$(here)" = "postmaster@example.org " ] && [ "$(grep -c x@far sink.log)" -gt $sent ]'
	printf '%s\n' 'EHLO x' 'MAIL FROM:<>' 'RCPT TO:<bo@example.org>' 'RCPT TO:<x@far.example>' QUIT | say >said
	is "$(sed -n 's/^\([2-5][0-9][0-9] [2-5]\.[0-9]\.[0-9]\).*/\1/p' said | tr '\n' ' ')" '250 2.1.0 451 4.4.3 250 2.1.5 221 2.0.0 ' "$manner"
	wait_for '[ "$(grep -c "deferred.*to=<jo@example.org>" server.log)" -gt $deferred ]'
	is "$(here)" 'postmaster@example.org ' 'nothing is invented'
	end bad TERM 2 || end bad KILL 2
	listens good
	configuration >conf
	kill -HUP "$(cat server.pid)"
	wait_for 'idle && [ "$(here)" = "jo@example.org postmaster@example.org " ]'
	end good TERM 2
	echo "ok: $manner"
done
stop_server
