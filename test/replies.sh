#!/bin/sh
# Goal: no reply without a test. Each row of the table in reply.c must stand, with its code, its status and all of its
# text, as what a transcript expects, or in a script or a unit test. These may leave out the text, where code and status
# are of this row only.
. "${TEST:-$(dirname "$0")}/lib.sh"

# name|code|status|text
sed -n 's/^	\[\(R_[A-Z0-9_]*\)\] *= { \([0-9]*\), "\([^"]*\)", "\(.*\)", "[^"]*" },.*/\1|\2|\3|\4/p' "$TOP/reply.c" >rows
is "$(wc -l <rows)" "$(grep -c '^	\[R_' "$TOP/reply.c")" 'rows of the table that this test can read'
[ -s rows ] || fail 'no table of replies in reply.c'

sed -n 's/^S[:*] *//p' "$TEST"/in/*.t >transcripts
cat "$TEST"/*.sh "$TEST"/unit_*.c >others 2>/dev/null

in_full() { grep -q -x -e "$want" transcripts || grep -q -e "$want" others; }
in_brief() { [ "$(grep -c "|$code|$status|" rows)" = 1 ] && grep -v '^ *#' others | grep -q -F -e "'$code $status "; }
while IFS='|' read -r name code status text; do
	want=$(printf '%s' "$code ${status:+$status }$text" | sed 's/[][\.*^$]/\\&/g; s/%s/.*/g')
	in_full || in_brief || {
		echo "$name: nobody expects: $code ${status:+$status }$text"
		: >missing
	}
done <rows
[ ! -e missing ] || fail 'replies without a test'
ok "$(wc -l <rows) replies"
