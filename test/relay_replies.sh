#!/bin/sh
# relay_replies: every reply at every step of a conversation in which we are the client, and what it means for the mail.
. "${TEST:-$(dirname "$0")}/lib.sh"
. "$TEST/relay"

# --- the greeting ---

scene greet <<'E'
S: 220-one
S: 220-
S: 220 three
C: EHLO mail.here.example
S: 250 x
mail
rcpt a
data
end
quit
E
for i in 421 450 554; do
	scene greet$i <<-E
	S: $i 4.3.2 not here
	E:
	E
done

# --- EHLO, HELO ---

for i in 500 502 550; do
	scene ehlo$i <<-E
	S: 220 x
	C: EHLO mail.here.example
	S: $i what?
	C: HELO mail.here.example
	S: 250 x
	C: MAIL FROM:<s@here.example>
	S: 250 ok
	C: RCPT TO:<a@%>
	S: 250 ok
	data
	end
	quit
	E
done
for i in 421 451; do
	scene ehlo$i <<-E
	S: 220 x
	C: EHLO mail.here.example
	S: $i 4.3.2 not now
	E:
	E
done
scene helo550 <<'E'
S: 220 x
C: EHLO mail.here.example
S: 502 what?
C: HELO mail.here.example
S: 550 5.7.1 we do not like you
E

# --- MAIL ---

scene mail450 <<'E'
hello
mail 450 4.1.8 who?
rset
quit
E
scene mail550 <<'E'
hello
mail 550-5.1.8 who
S: 550 are you?
rset
quit
E
scene mail450p <<'E'
hello PIPELINING
mail 450 4.1.8 who?
rcpt a 503 MAIL first
rcpt b 503 MAIL first
data 503 MAIL first
rset
quit
E
scene mail550p <<'E'
hello PIPELINING
mail 550 5.1.8 who?
rcpt a 503 MAIL first
rcpt b 503 MAIL first
data 354 for nobody
C: .
S: 554 no recipients
quit
E
scene mail421 <<'E'
hello
mail 421 4.3.2 going down
E

# --- RCPT ---

scene rcpt450 <<'E'
hello
mail
rcpt a 450 4.2.1 grey
rset
quit
E
scene rcpt550 <<'E'
hello
mail
rcpt a 550 5.1.1 nobody
rset
quit
E
scene mixed <<'E'
hello
mail
rcpt a
rcpt b 450 4.2.1 grey
rcpt c 550 5.1.1 nobody
rcpt d 251 5.1.1 forwards
data
end
quit
E
scene mixedp <<'E'
hello PIPELINING
mail
rcpt a 550 nobody
rcpt b 450-grey
S: 450 as often
rcpt c
data
end 250 ok
quit
E
scene allp354 <<'E'
hello PIPELINING
mail
rcpt a 550 5.1.1 nobody
rcpt b 451 4.2.1 grey
data
C: .
S: 554 no recipients
quit
E
scene allp354ok <<'E'
hello PIPELINING
mail
rcpt a 550 5.1.1 nobody
data
C: .
S: 250 into the void
quit
E
for i in 503 554; do
	scene allp$i <<-E
	hello PIPELINING
	mail
	rcpt a 550 5.1.1 nobody
	rcpt b 550 5.1.2 nobody
	data $i no recipients
	rset
	quit
	E
done
for i in 452 552; do
	scene many$i <<-E
	hello
	mail
	rcpt a
	rcpt b $i 4.5.3 too many recipients
	data
	end 250 first
	mail
	rcpt b
	data
	end 250 second
	mail
	rcpt c
	data
	end 250 third
	quit
	E
done
scene manyp <<'E'
hello PIPELINING
mail
rcpt a
rcpt b
rcpt c 452 4.5.3 too many
rcpt d 452 4.5.3 too many
data
end 250 first
mail
rcpt c
rcpt d
data
end 250 second
quit
E
scene first452 <<'E'
hello
mail
rcpt a 452 4.3.1 no room
rcpt b
data
end
quit
E
scene full552 <<'E'
hello
mail
rcpt a
rcpt b 552 5.2.2 his mailbox is full
data
end
quit
E

# --- DATA, the content, the final reply ---

scene data451 <<'E'
hello
mail
rcpt a
data 451 4.3.0 not now
rset
quit
E
scene data554 <<'E'
hello
mail
rcpt a
rcpt b 450 4.2.1 grey
data 554 5.5.0 no
rset
quit
E
scene data421 <<'E'
hello
mail
rcpt a
data 421 4.3.2 going down
E
scene end451 <<'E'
hello
mail
rcpt a
data
end 451 4.3.0 not now
quit
E
scene end554 <<'E'
hello
mail
rcpt a
data
end 554-5.7.1 this
S: 554 is spam
quit
E
scene end421 <<'E'
hello
mail
rcpt a
data
end 421 4.3.2 going down
E
scene end354 <<'E'
hello
mail
rcpt a
data
end 354 more?
quit
E

for i in $(scenes); do
	case $i in
	mixed | manyp)          to='a b c d' ;;
	mixedp | many452 | many552) to='a b c' ;;
	mail*p | allp??? | first452 | full552 | data554) to='a b' ;;
	*)                      to=a ;;
	esac
	echo "this is $i" | letter $i $to
done
play_scenes

relayed greet a
backed_off greet421 '421 4.3.2 not here'
backed_off greet450 '450 4.3.2 not here'
backed_off greet554 '554 4.3.2 not here'
for i in 500 502 550; do relayed ehlo$i a; done
backed_off ehlo421 '421 4.3.2 not now'
backed_off ehlo451 '451 4.3.2 not now'
backed_off helo550 '550 5.7.1 we do not like you'

deferred mail450 a '450 4.1.8 who?'
failed mail550 a '550 5.1.8 who are you?' 5.1.8
deferred mail450p a,b '450 4.1.8 who?'
failed mail550p a,b '550 5.1.8 who?' 5.1.8
deferred mail421 a '421 4.3.2 going down'

deferred rcpt450 a '450 4.2.1 grey'
failed rcpt550 a '550 5.1.1 nobody' 5.1.1
logged mixed relayed a reply '250 2.0.0 taken'
logged mixed relayed d reply '250 2.0.0 taken'
deferred mixed b '450 4.2.1 grey'
failed mixed c '550 5.1.1 nobody' 5.1.1
is "$(sed -n 's/^x-\([a-z]*\): \(.\)@mixed.example.$/\1 \2/p' "$(queued mixed)" | tr '\n' ' ')" \
	'accepted a receiver b rejected c accepted d ' 'the marks of mixed'
failed mixedp a '550 nobody' 5.0.0
deferred mixedp b '450 grey as often'
logged mixedp relayed c reply '250 ok'
failed allp354 a '550 5.1.1 nobody' 5.1.1
deferred allp354 b '451 4.2.1 grey'
failed allp354ok a '550 5.1.1 nobody' 5.1.1
for i in 503 554; do
	failed allp$i a '550 5.1.1 nobody' 5.1.1
	failed allp$i b '550 5.1.2 nobody' 5.1.2
done
for i in 452 552; do
	relayed many$i a '250 first'
	relayed many$i b '250 second'
	relayed many$i c '250 third'
done
relayed manyp a,b '250 first'
relayed manyp c,d '250 second'
deferred first452 a '452 4.3.1 no room'
logged first452 relayed b reply '250 2.0.0 taken'
logged full552 relayed a reply '250 2.0.0 taken'
failed full552 b '552 5.2.2 his mailbox is full' 5.2.2

deferred data451 a '451 4.3.0 not now'
failed data554 a '554 5.5.0 no' 5.5.0
deferred data554 b '450 4.2.1 grey'
deferred data421 a '421 4.3.2 going down'
deferred end451 a '451 4.3.0 not now'
failed end554 a '554 5.7.1 this is spam' 5.7.1
deferred end421 a '421 4.3.2 going down'
deferred end354 a '354 more?'
stop_server
ok "$(ls ./*.t | wc -l) conversations"
