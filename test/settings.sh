#!/bin/sh
# Goal: no setting without effect, none without a test.
# - every directive that `smtpd explain manual' prints is used in some test;
# - here: badmail names its folder, hostname signs, drop may be elsewhere, a mailroot is made with all its folders.
. "${TEST:-$(dirname "$0")}/lib.sh"

"$SMTPD" explain manual | sed -n 's/^\.It Ic //p' | sort -u >names
[ "$(wc -l <names)" -ge 35 ] || fail 'the settings were not found in what explain manual prints'
while read -r name; do
	grep -qE "(^|[^a-z-])${name}[ \"\\\\]" "$TEST"/*.sh "$TEST"/*.conf "$TEST"/unit_*.c || echo "$name"
done <names >missing
is "$(cat missing)" '' 'settings that no test uses'

cat >settings.conf <<'END'
server s {
    general { listen 127.0.0.1:0; hostname mx.example.org; mailroot there }
    messages { badmail Dead }
    domain example.org default { drop Mail }
}
END
start_server settings.conf
is "$(ls there | tr '\n' ' ')" 'Dead Mail Pickup Queue SortTemp ' 'the folders'
printf '%s\n' 'HELO c' 'MAIL FROM:<>' 'RCPT TO:<jones>' DATA '' x . QUIT | say >got
like "$(head -n 1 got)" '220 mx.example.org *' 'the greeting'
grep -q "^	by mx.example.org (smtpd) with SMTP id " there/Mail/*.eml || fail 'the Received field has another name'
printf 'no header\n\nx\n' >there/note; mv there/note there/Pickup/
wait_for 'ls there/Dead/*.txt >/dev/null 2>&1 && ls there/Dead/*.eml >/dev/null 2>&1'
stop_server
