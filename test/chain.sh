#!/bin/sh
# chain: mail that is relayed arrives octet for octet. Real messages (CORPUS, as in clients.sh) go from a client to our
# server A; from there to our server B, and by Postfix to B. In B's Drop stand before each message the envelope and a
# Received of each hop, and nothing else. Postfix (test/peers says how to get it; it takes root) is left out if we
# cannot have it.
# shellcheck disable=SC2016,SC2059
. "${TEST:-$(dirname "$0")}/lib.sh"
. "$TEST/peers"

: "${CORPUS:=test/corpus}"
case $CORPUS in /*) ;; *) CORPUS=$TOP/$CORPUS ;; esac
ls "$CORPUS"/*.eml >files || fail "there are no messages in $CORPUS"
cr=$(printf '\r')

# --- the messages: want/KEY ends its lines in CR LF, as it will have to arrive; wire/KEY has its dots stuffed ---

mkdir want wire
n=0
while read -r file; do
	n=$((n + 1))
	sed "s/$cr\$//; s/$cr/ /g; s/\$/$cr/" "$file" >want/$n
	[ -z "$(tail -c 1 want/$n)" ] || echo >>want/$n
	echo "$n $file"
done <files >names
head='From: made <made@client.test>\r\nTo: u@b.test\r\nSubject: made\r\n\r\n'
made() { n=$((n + 1)); { printf "$head"; "$@"; } >want/$n; echo "$n ($1)" >>names; }
dots() { printf '.\r\n..\r\n.x\r\nx.\r\n\r\n\r\n...\r\n.\r\n'; }
long_line() { awk 'BEGIN { for (i = 0; i < 6250; i++) printf "12345678"; printf "\r\n" }'; }
octets() { awk 'BEGIN { for (i = 1; i < 256; i++) if (i != 10 && i != 13) printf "%c", i; printf "\r\n" }'; }
for i in dots long_line octets; do made $i; done
for i in want/*; do sed 's/^\./../' $i >wire/${i#*/}; done

# What Postfix mends: blanks before a colon, and a header that ends in a line that is no field.
mkdir mended
awk '
	FNR == 1 { close(out); out = "mended/" substr(FILENAME, 6); header = 1 }
	header && !/^([!-9;-~]+[ \t]*:|[ \t])/ { header = 0; if (!/^\r$/) printf "\r\n" >out }
	header && /^[!-9;-~]+[ \t]+:/ { sub(/[ \t]+:/, ":") }
	{ print >out }' want/*

# dialogue WAY: KEY goes to WAY.KEY@b.test.
dialogue() {
	printf 'EHLO client.test\r\n'
	while read -r key file; do
		printf 'MAIL FROM:<s@client.test> BODY=8BITMIME\r\nRCPT TO:<%s@b.test>\r\nDATA\r\n' "$1.$key"
		cat wire/$key
		printf '.\r\n'
	done <names
	printf 'QUIT\r\n'
}

# --- the chain, from its end on ---

ways=direct missing=''
if ! hop_can; then
	echo 'without Postfix: for that we must be root (and on Linux)'
elif hop_is_there postfix; then
	ways='direct postfix'
else
	missing=postfix
fi

common='access { relay only 127.0.0.0/8 }; messages { per-connection 7 }'
cat >b.conf <<END
server b {
    general { listen 127.0.0.1:0; hostname b.test; mailroot b }
    domain b.test default
}
END
SERVER=b_server; start_server b.conf
BACK=$PORT
[ "$ways" = direct ] || hop postfix
cat >a.conf <<END
server direct {
    general { listen 127.0.0.1:0; hostname a.test; mailroot direct }
    $common
    delivery { smart-host [127.0.0.1]:$BACK; retry 1s }
    domain a.test default
}
server postfix {
    general { listen 127.0.0.1:0; hostname a.test; mailroot indirect }
    $common
    delivery { smart-host [$HOP]:$(hop_port postfix); retry 1s }
    domain a.test default
}
END
SERVER=a_server; start_server a.conf

for way in $ways; do
	use $way
	dialogue $way | talk >answers
	is "$(grep -c '^250 2.6.0' answers)" "$(wc -l <names)" "$way: messages that A took"
done
all=$(for way in $ways; do cat names; done | wc -l)
poll '[ "$(messages b/Drop | wc -l)" -ge $all ]' 60 || echo 'not all have arrived' >wrong

: >>wrong

# --- what came out ---

# The head of each file, up to where the message begins, which is behind the three lines that A wrote: FILE WAY KEY OCTETS
# when nothing else is in it. Parameters are not looked at.
for file in b/Drop/*.eml; do echo "$file"; done | xargs awk '
	FNR == 1 { at = last = 0; head = "" }
	last && FNR > last { next }
	{ at += length($0) + 1; if (!sub(/\r$/, "")) $0 = $0 "(LF)" }
	/^x-(sender|receiver)-args: / { next }
	/^x-receiver: / { split($2, part, /[.@]/); way = part[1]; key = part[2] }
	/^Received: from client\.test / { last = FNR + 2 }
	FNR > 100 { last = FNR }
	{ head = head $0 "|" }
	FNR == last {
		date = "[A-Z][a-z][a-z], [0-9 ]?[0-9] [A-Z][a-z][a-z] [0-9]+ [0-9:]+ [-+][0-9]+( \\(UTC\\))?[|]"
		want = "^x-sender: s@client\\.test[|]x-receiver: " way "\\." key "@b\\.test[|]Return-Path: <s@client\\.test>[|]"
		want = want step(way == "direct" ? "a\\.test" : "hop\\.test", "b\\.test \\(smtpd\\)")
		if (way == "postfix") want = want step("a\\.test", "hop\\.test \\(Postfix\\)")
		want = want step("client\\.test", "a\\.test \\(smtpd\\)") "$"
		if (head ~ want)
			print FILENAME, way, key, at
		else
			print way "." key ": the head of " FILENAME " is " head >"wrong.heads"
	}
	function step(from, by) {
		return "Received: from " from " \\([a-z ]*\\[127\\.[0-9.]+\\]\\)[|]\tby " by " with ESMTP id [0-9A-Za-z-]+(;[|]|[|]\tfor <" \
			way "\\." key "@b\\.test>;)[\t ]" date
	}' >heads
[ ! -e wrong.heads ] || cat wrong.heads >>wrong

while read -r file way key octets; do
	case $way in postfix) want=mended/$key ;; *) want=want/$key ;; esac
	tail -c +$((octets + 1)) "$file" | cmp - $want >cmp.out 2>&1 || echo "$way.$key: $(cat cmp.out)" >>wrong
	echo "$way.$key"
done <heads | sort >arrived
for way in $ways; do sed "s/^\([0-9]*\).*/$way.\1/" names; done | sort | diff - arrived >>wrong ||
	echo '(< was sent and has not arrived, > has arrived too often)' >>wrong
if [ -s wrong ]; then
	sed 20q wrong >&2
	while read -r key file; do
		! grep -q "[./]$key\([: ]\|\$\)" wrong || echo "$key is $file"
	done <names >&2
	fail "$(wc -l <wrong) complaints"
fi
for SERVER in a_server b_server; do stop_server; done
[ -z "$missing" ] || skip "not installed: $missing; without it all is well"
ok "$(wc -l <names) messages, ways: $ways"
