#!/bin/sh
# Goal: the settings table, the sample and the manual say the same.
# - smtpd.conf is what `smtpd explain` prints, and is accepted;
# - smtpd.conf.5 has what `smtpd explain manual` prints;
# - a name explains itself, and what it can be; a block too; an unknown one is refused; all within 80 columns.
. "${TEST:-${0%/*}}/lib.sh"

"$SMTPD" explain >sample || fail 'explain failed'
cmp -s sample "$TOP/smtpd.conf" || fail 'smtpd.conf is not what the table prints: make -B smtpd.conf'
"$SMTPD" -n -f "$TOP/smtpd.conf" || fail 'the sample is refused'
"$SMTPD" explain manual >manual
sed -n '/^\.Ss top level/,/^\.Sh SEE/p' "$TOP/smtpd.conf.5" | sed '$d' >section
cmp -s manual section || fail 'smtpd.conf.5 is not what the table prints'
"$SMTPD" explain relay | grep -q 'Access: Relay restrictions' || fail 'explain relay does not explain'
says() { "$SMTPD" explain $1 >said || fail "explain $1"; grep -qxF "    $2" said || { cat said >&2; fail "explain $1 does not say: $2"; }; }
says 'port'          'Values: 1 to 65535'
says 'max-size'      'Values: 1K to unlimited'
says 'retry'         'Values: 1s to 30d'
says 'tarpit'        'Values: 0s to 10m'
says 'log'           'Values: a size of at least 16K'
says 'badmail-limit' 'Values: 1K to unlimited, and 1s to unlimited'
says 'line-endings'  'Values: normalize reject'
says 'start'         'Values: yes no'
says 'control'       'Default: .control in the first mailroot'
says 'hostname'      "Default: the host's own name"
says 'security'      'security {'
says 'include'       'What is in FILE stands here.'
"$SMTPD" explain server | cmp -s - sample || fail 'explain server'
grep -q '^ *hostname\|(the host' sample && fail 'a default that cannot be written'
awk 'length > 79' sample | grep . && fail 'a line of more than 79 columns'
"$SMTPD" explain nonsense 2>/dev/null && fail 'explain nonsense succeeded'
ok
