#!/bin/sh
# Goal: a sub-command reaches the server it is meant for, and what it says of it is true.
# - a server that is not to start can be started, from the first time on.
. "${TEST:-$(dirname "$0")}/lib.sh"

# asks STATUS ARG ...: with this status; said has what it said.
asks() { want=$1; shift; "$SMTPD" "$@" >said 2>&1; rc=$?; [ $rc = "$want" ] || { cat said >&2; fail "status $rc, not $want: $*"; }; }
has()  { grep -q -e "$1" said || { cat said >&2; fail "no line like: $1"; }; }
cat >smtpd.conf <<'E'
resolver 127.0.0.1:1
server "quiet" {
    general { listen 127.0.0.1:0; mailroot quiet; start no }
    domain quiet.example default
}
E

# --- the first start, of one that is not to start ---

start_server smtpd.conf
asks 0 -f smtpd.conf status;      has '^"quiet" is stopped$'
asks 0 -f smtpd.conf start quiet; has '^"quiet" is running$'
stop_server
ok
