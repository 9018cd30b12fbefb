#!/bin/sh
# Goal: Prometheus' own checker has nothing to say about the counters, with names of servers that are hard to write.
. "${TEST:-$(dirname "$0")}/lib.sh"

[ ! -x "${PEERS-}/usr/bin/promtool" ] || PATH=$PATH:$PEERS/usr/bin
need promtool
cat >smtpd.conf <<'E'
resolver 127.0.0.1:1
server "a \"b\" \\c é" { general { listen 127.0.0.1:0; hostname one.example; mailroot one }; domain one.example default }
server two { general { listen 127.0.0.1:0; hostname two.example; mailroot two }; domain two.example default }
E
start_server
printf '%s\n' 'HELO x' 'MAIL FROM:<s@one.example>' 'RCPT TO:<u@one.example>' DATA '' . QUIT | say >said
"$SMTPD" -f smtpd.conf status metrics >now.prom || fail 'there are no counters'
promtool check metrics <now.prom >promtool.log 2>&1 || fail "$(cat promtool.log)"
is "$(cat promtool.log)" '' 'what promtool says'
stop_server
ok "$(grep -c '^smtpd_' now.prom) samples"
