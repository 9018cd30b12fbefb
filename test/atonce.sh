#!/bin/sh
# Goal: who hears 250 finds the mail in Drop, at once.
# - a script that looks into the folder right behind its netcat sees what it sent, every time;
# - also when more than one message goes in one write.
. "${TEST:-$(dirname "$0")}/lib.sh"

start_server
letter() { printf '%s\n' 'MAIL FROM:<smith@example.com>' 'RCPT TO:<jones>' DATA "Subject: $1" '' .; }
n=0
while [ $n -lt 40 ]; do
	{ echo 'HELO client.example'; letter one; letter two; echo QUIT; } | say >got
	n=$((n + 2))
	is "$(grep -c '^250 2.6.0' got)" 2 'replies'
	is "$(ls plain/Drop | wc -l | tr -d ' ')" $n 'messages in Drop'
done
stop_server
