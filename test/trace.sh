#!/bin/sh
# Goal: -T shows each line of each conversation with its direction, time, state and the clause that rules it; who decided
# a refusal; the steps of a commit. It shows no password, no text of a message, and no control character.
. "${TEST:-$(dirname "$0")}/lib.sh"

cat >trace.conf <<'E'
server main {
    general {
        listen   127.0.0.1:0
        hostname mail.example.org
        mailroot main
    }
    access {
        relay only 192.0.2.0/24
    }
    messages {
        max-size 1K
    }
    domain example.org default
}
E
start_server trace.conf -T
{
	cat <<'E'
EHLO client.example
AUTH PLAIN AHNtaXRoAHNlY3JldA==
auth LOGIN AHNtaXRoAHNlY3JldA==
E
	printf 'AUTH\tPLAIN\tAHNtaXRoAHNlY3JldA==\nAUTH  PLAIN AHNtaXRoAHNlY3JldA==\n'
	printf 'NOOP \033[2J\033]0;x\007 \\ \200\n'
	cat <<'E'
MAIL FROM:<smith@example.com> SIZE=5000
MAIL FROM:<smith@example.com>
RCPT TO:<jones@example.com>
RCPT TO:<jones@example.org>
DATA
Subject: confidential

confidential
.
MAIL FROM:<smith@example.com>
RCPT TO:<jones@example.org>
BDAT 14
confidential
BDAT 14 LAST
confidential
BDAT 14
confidential
HELP
QUIT
E
} | say >got
is "$(tail -n 1 got)" '221 2.0.0 mail.example.org closing the channel' 'the end of the conversation'

has() { grep -q -E -e "$1" server.log || fail "not in the trace: $1"; }
line='^#1 +[0-9]+\.[0-9]{3} '
has "${line}GREET +< 220 mail\.example\.org ESMTP smtpd +RFC 5321 3\.1\$"
has "${line}GREET +> EHLO client\.example\$"
has "${line}IDLE +< 250-mail\.example\.org greets \[127\.0\.0\.1\] +RFC 5321 4\.1\.1\.1\$"
has "${line}IDLE +< 250-PIPELINING\$"
has "${line}IDLE +> MAIL FROM:<smith@example\.com>\$"
has "${line}MAIL +> RCPT TO:<jones@example\.com>\$"
has "${line}RCPT +> DATA\$"
has "${line}DATA +< 354 Send the message.* RFC 5321 4\.1\.1\.4\$"
has "${line}DATA +> \. \([0-9]+ octets\)\$"
has "${line}COMMIT += SortTemp synced [0-9.]+ ms, renamed into Queue, folder synced [0-9.]+ ms, batch of 1\$"
has "${line}RCPT +> BDAT 14\$"
has "${line}CHUNKS +> BDAT 14 LAST\$"

# Line by line as it was heard. A line's clause stands at its right, or, where there is no room, below. Only the keywords
# of EHLO have none: they are one reply.
awk '
	function over() { if (said != "") print said; if (bare) { print "no clause: " said; exit 1 } said = ""; bare = 0 }
	!/^#1 .* < / && !/^ / { over(); next }
	/^#1/ { over(); said = $0; sub(/^#1 +[0-9.]+ [A-Z]+ +< /, "", said); bare = said !~ /^250[- ][A-Z0-9]+( [A-Z0-9=]+)?$/ }
	match($0, /  +([a-z-]+ \([^)]*\); )?RFC [0-9]+ [0-9.]*[0-9](, the promise)?$/) { bare = 0; sub(/  +([a-z-]+ \(|RFC ).*/, "", said) }
	END { over() }' server.log >said || { tail -n 1 said; fail 'a reply without a clause'; }
cmp -s said got || { diff got said >&2; fail 'the replies in the trace are not those that were sent'; }

# Who decided, and where that is written.
at() { awk -v word="$1" '$1 == word { print NR }' trace.conf; }
grep -A 1 ' < 550 ' server.log | grep -q -F "relay (trace.conf:$(at relay)); RFC 5321 3.6.2" || fail 'who refused to relay?'
grep -A 1 ' < 552 ' server.log | grep -q -F "max-size (trace.conf:$(at max-size)); RFC 1870 6.1" || fail 'who found it too large?'

! grep -e AHNtaXRo server.log || fail 'a password'
! grep -i confidential server.log || fail 'the text of a message'
has "${line}IDLE +> AUTH\$"
has '> NOOP \\x1b\[2J\\x1b\]0;x\\x07 \\x5c \\x80$'
! tr -d '\n' <server.log | grep -q '[^ -~]' || fail 'an octet that is not printable'

# Lines end, however long the client's are; and conversations have numbers.
{
	awk 'BEGIN { printf "NOOP "; for (; i++ < 4000;) printf "x"; print "" }'
	awk 'BEGIN { printf "MAIL FROM:<"; for (; i++ < 990;) printf "%s", i % 2 ? "\001" : "x"; print "@example.com>" }'
} | say >got
wait_for 'grep -q "^#2 .*> MAIL" server.log'
awk 'length($0) > 1000 { exit 1 }' server.log || fail 'a line of more than 1000 octets'
ok
