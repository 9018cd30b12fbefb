#!/bin/sh
# Goal: the settings table, the sample and the manual say the same.
# - smtpd.conf is what `smtpd explain` prints, and is accepted;
# - smtpd.conf.5 has what `smtpd explain manual` prints;
# - a name explains itself, an unknown one is refused.
. "${TEST:-${0%/*}}/lib.sh"

"$SMTPD" explain >sample || fail 'explain failed'
cmp -s sample "$TOP/smtpd.conf" || fail 'smtpd.conf is not what the table prints: make -B smtpd.conf'
"$SMTPD" -n -f "$TOP/smtpd.conf" || fail 'the sample is refused'
"$SMTPD" explain manual >manual
sed -n '/^\.Ss top level/,/^\.Sh SEE/p' "$TOP/smtpd.conf.5" | sed '$d' >section
cmp -s manual section || fail 'smtpd.conf.5 is not what the table prints'
"$SMTPD" explain relay | grep -q 'Access: Relay restrictions' || fail 'explain relay does not explain'
"$SMTPD" explain nonsense 2>/dev/null && fail 'explain nonsense succeeded'
ok
