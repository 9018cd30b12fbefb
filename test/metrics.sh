#!/bin/sh
# Goal: what the server counts can be read, under the model's names, and is right.
# - `status metrics' and the file of `metrics' have the same, in Prometheus' text format;
#   names of servers are escaped; the file is written anew each minute and renamed into place;
# - each counter counts what it says, for its own server alone;
# - past queue-warning and badmail-warning there is one line in the log and one mail to the postmaster, once.
. "${TEST:-$(dirname "$0")}/lib.sh"

own_nc
CLOCK_FILE=$T/clock; export CLOCK_FILE
echo 0 >clock
cat >smtpd.conf <<'E'
resolver 127.0.0.1:1
metrics smtpd.prom
server "a \"b\" \\c" {
    general { listen 127.0.0.1:0; hostname one.example; mailroot one }
    access { relay only 127.0.0.1 }
    messages { max-size 2000; max-recipients 2; queue-warning 1 1h; badmail-warning 0 1G }
    delivery { smart-host [127.0.0.1]:1; glitch-retry 1m 1; retry 5m; notify unlimited; expire 30m }
    domain one.example default
}
server two { general { listen 127.0.0.1:0; hostname two.example; mailroot two }; domain two.example default }
E
op() { "$SMTPD" -f smtpd.conf "$@"; }
# value NAME [LABELS]: of the first server, as it is now.
value() { op status metrics | sed -n "s/^smtpd_$1{server=\"a .*c\"$2} //p"; }
counts() { wait_for "[ \"\$(value $1 '${3-}')\" = $2 ]" 10; }

start_server
wait_for '[ -s smtpd.prom ]'
grep -q '^# HELP smtpd_messages_received_total Messages Received Total$' smtpd.prom || fail 'no help in the file'
grep -q '^smtpd_messages_received_total{server="a \\"b\\" \\\\c"} 0$' smtpd.prom || fail 'the name of the server is not escaped'
op status metrics >now.prom
is "$(sed 's/ [0-9]*$//' now.prom)" "$(sed 's/ [0-9]*$//' smtpd.prom)" 'the file and what is printed'
mail() { printf '%s\n' 'HELO x' "MAIL FROM:<s@one.example>$2" "RCPT TO:<$1>" DATA 'Subject: x' '' 'abc' . QUIT | say >said; }
mail u@one.example
mail v@one.example
printf '%s\n' 'EHLO x' 'MAIL FROM:<s@one.example> SIZE=9999' 'MAIL FROM:<s@one.example>' 'RCPT TO:<a@one.example>' 'RCPT TO:<b@one.example>' \
	'RCPT TO:<c@one.example>' DATA 'Subject: y' '' . QUIT | say >said
counts messages_received_total 3;            counts recipients_received_total 4
counts messages_delivered_total 3;           counts recipients_local_total 4;     counts directory_drops_total 3
counts inbound_connections_total 3;          counts inbound_connections 0;        counts up 1
counts messages_refused_total 1 ',reason="size"'; counts messages_refused_total 1 ',reason="address objects"'
counts message_bytes_received_total 52
printf 'From: s@one.example\nTo: u@one.example\n\nx\n' >p && mv p one/Pickup/p
printf 'nothing\n\n' >q && mv q one/Pickup/q
printf 'From: s@one.example\n\nnobody\n' >q && mv q one/Pickup/q2
printf 'From: s@one.example\nTo: a@one.example, b@one.example, c@one.example\n\ntoo many\n' >q && mv q one/Pickup/q3
counts pickup_messages_retrieved_total 1;    counts messages_delivered_total 4
counts badmailed_messages_total 2 ',reason="bad pickup file"'; counts badmailed_messages_total 1 ',reason="no recipients"'
mail u@away.example; mail v@away.example
counts messages_received_total 5;            counts remote_retry_queue_messages 2; counts routing_table_lookups_total 2
[ "$(value connection_errors_total)" -ge 1 ] || fail 'no connection error is counted'
[ "$(value outbound_connections_refused_total)" -ge 1 ] || fail 'no refused connection is counted'
[ "$(value bytes_received_total)" -gt 500 ] && [ "$(value bytes_sent_total)" -gt 500 ] || fail 'octets are not counted'
is "$(op status metrics | grep -c 'server="two"} [1-9]')" 1 'counters of the other server that are not 0: up'

# Five minutes on the folders are looked at: Queue has two, Badmail three.
echo 310 >clock
wait_for 'grep -c "^warning: server=.* folder=Queue messages=2 " server.log | grep -q 1 && grep -q "folder=Badmail messages=3 " server.log' 10
wait_for 'grep -l "^Subject: Queue of .* holds 2 messages" one/Drop/*.eml >/dev/null && grep -l "^Subject: Badmail of" one/Drop/*.eml >/dev/null'
counts folder_messages 2 ',folder="Queue"'
[ "$(value queue_oldest_seconds)" -ge 300 ] || fail 'the age of the oldest'
grep -q 'seconds 3' smtpd.prom || wait_for 'grep -q "^smtpd_queue_oldest_seconds{.*} [1-9]" smtpd.prom'
echo 640 >clock
wait_for '[ "$(value message_send_retries_total)" != "" ] && [ "$(value queue_oldest_seconds)" -ge 600 ]' 10
is "$(grep -c '^warning: server=.* folder=' server.log)" 2 'warnings: each once'

# After the expiry both come back.
echo 2000 >clock
counts ndrs_generated_total 2;               counts remote_retry_queue_messages 0
stop_server
is "$(ls one/Queue)" '' 'left in Queue'
ok
