#!/bin/sh
# clients: what goes in comes out, octet for octet after line ends. Real messages - the directory CORPUS, by default
# test/corpus - and some made up here are sent by clients that others wrote, by
# DATA and BDAT, and dropped into Pickup. In Drop each must be what it was, with LF made CR LF, a CR alone made a space
# and the last line ended; before it stand the envelope, our Received, and from Pickup the Date and Message-ID that were
# missing. The clients, and how they send a file as it is:
#
#     swaks        -ndf, and a file whose dots are stuffed and which ends in CR LF . (swaks adds the last CR LF)
#     curl         -T FILE, with --crlf when it has LF alone
#     msmtp        all of --add-missing-..., --set-... and --remove-... off; it makes LF CR LF
#     smtplib      (python3) sendmail with bytes whose line ends are CR LF
#     nodemailer   `raw'
#     exim         would complete the header, so it gets the message as the body of another one; without those made up
#                  of CR and NUL, of which it has ideas of its own. This is the one that sends BDAT by itself.
#
# The others know no BDAT, and so smtplib opens the connection and we speak: chunks that grow from no octet on, so that
# they end anywhere, one after the other as `bdat', all at once as `chunks', and as BINARYMIME, which changes nothing.
# nodemailer and exim (as root) are used if they are there; without the others the test is skipped when it is over.
# shellcheck disable=SC2016,SC2059,SC2012,SC2238
. "${TEST:-$(dirname "$0")}/lib.sh"

: "${CORPUS:=test/corpus}"
case $CORPUS in /*) ;; *) CORPUS=$TOP/$CORPUS ;; esac
ls "$CORPUS"/*.eml >files || fail "there are no messages in $CORPUS"
cr=$(printf '\r')
: >wrong

# --- the messages: in/KEY as it is, want/KEY as it must come out ---

mkdir in wire want body made stage exim
n=0
while read -r file; do
	n=$((n + 1))
	cp "$file" in/$n && echo "$n $file"
done <files >names

cat >head <<-'END'
	From: made <made@client.test>
	To: u@example.org
	Date: Tue, 1 Apr 2025 10:00:00 +0000
	Message-ID: <1@client.test>

END
from_head() { sed "s/\$/$cr/" head; cat; }
printf '.\r\n..\r\n.x\r\nx.\r\n\r\n\r\n...\r\n.'        | from_head >in/dots
printf '.\n..\n.x\n\n\n.\n'                             | cat head - >in/dots-lf
printf 'one\rtwo\r\r\nthree\n\rfour\r\n'                | from_head >in/cr
printf 'a\000b\000\r\n\000'                             | from_head >in/nul
awk 'BEGIN { for (i = 1; i < 256; i++) if (i != 10 && i != 13) printf "%c", i }' | from_head >in/octets
awk 'BEGIN { for (i = 0; i < 12500; i++) printf "12345678" }' | from_head >in/long-line
printf 'nothing but a line, and it has no end'          >in/bare
ls in >keys

# sed does it, for awk may stop at NUL; where even sed does, we know what it should have said. wire/KEY is for those who
# want to see the dots stuffed.
while read -r key; do
	sed "s/$cr\$//; s/$cr/ /g; s/\$/$cr/" "in/$key" >"want/$key"
	sed "s/^\\./../; \$s/$cr*\$/$cr/" "in/$key" >"wire/$key"
	for file in "want/$key" "wire/$key"; do
		[ -z "$(tail -c 1 "$file")" ] || echo >>"$file"
	done
done <keys
printf 'a\000b\000\r\n\000\r\n' | from_head | tee want/nul >wire/nul

# What Pickup changes: body/KEY is without Bcc, and `lacks' has each KEY and the fields that are not there.
awk '
	function told() {
		if (key == "") return
		print key, has["from"] ? "" : "From", has["date"] ? "" : "Date", has["message-id"] ? "" : "Message-ID"
	}
	FNR == 1 {
		told(); close(out); split("", has)
		key = FILENAME; sub(/.*\//, "", key); out = "body/" key
		header = 1; bcc = 0
	}
	header && /^\r$/ { header = 0 }
	header && !/^[ \t]/ {
		name = tolower($0); sub(/[ \t]*:.*/, "", name)
		has[name] = 1; bcc = name == "bcc"
	}
	!header || !bcc { print >out }
	END { told() }' want/* >lacks
cp want/nul body/nul

# --- the clients: each sends the messages whose keys it reads to CLIENT.KEY@example.org ---

missed() { echo "$1: ${2:+message $2 }was not sent" >>wrong; }

by_swaks() {
	while read -r key; do
		printf . | cat "wire/$key" - >swaks.in
		swaks --server "$HOST" --port "$PORT" --helo client.test --timeout 60 --silent 2 -f a@client.test \
			-t "swaks.$key@example.org" -ndf --data @swaks.in </dev/null || missed swaks "$key"
	done
}

by_curl() {
	while read -r key; do
		grep -q "$cr" "in/$key" && crlf='' || crlf=1
		curl -sS -m 60 ${crlf:+--crlf} --url "smtp://$HOST:$PORT/client.test" --mail-from a@client.test \
			--mail-rcpt "curl.$key@example.org" -T "in/$key" || missed curl "$key"
	done
}

by_msmtp() {
	while read -r key; do
		msmtp --host="$HOST" --port="$PORT" --domain=client.test --timeout=60 --auth=off --tls=off \
			--add-missing-from-header=off --add-missing-date-header=off --set-from-header=off \
			--set-date-header=off --set-msgid-header=off --remove-bcc-headers=off \
			--undisclosed-recipients=off --from=a@client.test "msmtp.$key@example.org" <"in/$key" || missed msmtp "$key"
	done
}

by_python() {
	cat >python.py <<-'END'
	import re, smtplib, sys

	def expect(reply, code):
	    if reply[0] != code:
	        raise smtplib.SMTPException(repr(reply))

	# Chunks of 0, 1, 1, 2, 3, 5, 8 ... octets; LAST with the last of them, or with none.
	def bdat(to, text, body, at_once):
	    expect(s.docmd('MAIL', 'FROM:<a@client.test> BODY=' + body), 250)
	    expect(s.docmd('RCPT', 'TO:<%s@example.org>' % to), 250)
	    chunks, size, step = [], 0, 1
	    while text:
	        chunks.append(text[:size])
	        text = text[size:]
	        size, step = step, size + step
	    if at_once:
	        chunks.append(b'')
	    for i, c in enumerate(chunks):
	        chunks[i] = b'BDAT %d%s\r\n%s' % (len(c), b' LAST' if i == len(chunks) - 1 else b'', c)
	    if at_once:
	        s.send(b''.join(chunks))
	    for c in chunks:
	        if not at_once:
	            s.send(c)
	        expect(s.getreply(), 250)

	with smtplib.SMTP(sys.argv[1], int(sys.argv[2]), 'client.test', 20) as s:
	    for key in sys.stdin.read().split():
	        with open('in/' + key, 'rb') as f:
	            text = f.read()
	        s.sendmail('a@client.test', 'smtplib.%s@example.org' % key, re.sub(rb'\r?\n', b'\r\n', text))
	        bdat('bdat.' + key, text, '8BITMIME', False)
	        bdat('chunks.' + key, text, '7BIT', True)
	        bdat('binary.' + key, text, 'BINARYMIME', True)
	END
	python3 python.py "$HOST" "$PORT" || missed smtplib
}

by_node() {
	cat >node.js <<-'END'
	const [host, port] = process.argv.slice(2), fs = require('fs')
	const options = { host, port, name: 'client.test', ignoreTLS: true, pool: true }
	const client = require('nodemailer').createTransport(options)
	const send = key => client.sendMail({
	    envelope: { from: 'a@client.test', to: ['nodemailer.' + key + '@example.org'] },
	    raw: fs.readFileSync('in/' + key)
	})
	Promise.all(fs.readFileSync(0, 'utf8').split('\n').filter(Boolean).map(send))
	    .catch(e => { console.error(e); process.exitCode = 1 }).finally(() => client.close())
	END
	node node.js "$HOST" "$PORT" || missed nodemailer
}

# It speaks of lost privileges, which it has no use for.
by_exim() {
	chmod 777 exim			# it becomes a user of its own
	cat >exim.conf <<-END
	primary_hostname = client.test
	spool_directory = $T/exim
	log_file_path = $T/exim/%slog
	keep_environment =
	local_from_check = false
	received_header_text =
	begin routers
	ours:
	  driver = manualroute
	  route_list = * $HOST
	  self = send
	  transport = smtp
	begin transports
	smtp:
	  driver = smtp
	  port = $PORT
	  hosts_try_chunking = *
	  hosts_avoid_tls = *
	  message_linelength_limit = 1000000
	END
	while read -r key; do
		cat head "in/$key" | exim4 -C "$T/exim.conf" -i -odf -oem -f a@client.test \
			"exim.$key@example.org" 2>>exim.err || missed exim "$key"
	done
}

# --- Pickup: as lines.KEY with an envelope, and as header.KEY without ---

by_pickup() {
	while read -r key; do
		printf 'x-sender: a@client.test\nx-receiver: lines.%s@example.org\n' "$key" |
			cat - "in/$key" >"made/lines.$key.eml"
		printf 'Bcc: header.%s@example.org\n' "$key" | cat - "in/$key" >"made/header.$key.eml"
	done
	cp made/* stage
	mv stage/* root/Pickup
}

# --- all at once ---

cat >clients.conf <<-'END'
	resolver 127.0.0.1:1
	server clients {
	    general { listen 127.0.0.1:0; hostname mail.example.org; mailroot root; connections 100 }
	    domain example.org default { drop Drop }
	}
END
start_server clients.conf

missing='' jobs=''
begin() {
	job=by_$1; shift
	cp keys "$job.keys"
	for who; do while read -r key; do echo "$who.$key"; done <keys; done >>sent
	$job <"$job.keys" & jobs="$jobs $!"
}
begin pickup lines header
for tool in swaks curl msmtp; do
	if command -v $tool >/dev/null; then begin $tool $tool; else missing="$missing $tool"; fi
done
if command -v python3 >/dev/null; then
	begin python smtplib bdat chunks binary
else
	missing="$missing python3"
fi
: "${NODE_PATH:=/usr/share/nodejs:/usr/lib/node_modules:/usr/local/lib/node_modules}"; export NODE_PATH
if node -e 'require("nodemailer")' 2>/dev/null; then
	begin node nodemailer
else
	echo 'nodemailer is not installed: the others do without'
fi
if command -v exim4 >/dev/null && [ "$(id -u)" = 0 ]; then
	mv keys keys.all; grep -vx 'cr\|nul' keys.all >keys
	begin exim exim
	mv keys.all keys
else
	echo 'exim is not installed, or we are not root: the others do without'
fi
for job in $jobs; do wait "$job"; done


count() { ls "$1" | wc -l; }
poll '[ $(($(count root/Drop) + $(count root/Badmail) / 2)) -ge $(wc -l <sent) ]' 60 ||
	echo 'not all has arrived' >>wrong
is "$(ls root/Pickup)" '' 'something is left in Pickup'
stop_server

# --- what came out ---

# The head of each file, up to where the message begins: FILE CLIENT KEY OCTETS when it is as it should be. The date is
# the only thing that we take as it comes; parameters of the client are not looked at.
for file in root/Drop/*.eml; do echo "$file"; done | xargs awk '
	BEGIN { while ((getline line < "lacks") > 0) { split(line, word, " "); lacks[word[1]] = line } }
	FNR == 1 { over = at = 0; head = want = key = sender = "" }
	over { next }
	{ at += length($0) + 1; if (!sub(/\r$/, "")) $0 = $0 "(LF)" }
	/^x-(sender|receiver)-args: / { next }
	/^x-sender: / { sender = $2 }
	/^x-receiver: / && key == "" { split($2, part, /[.@]/); client = part[1]; key = part[2] }
	/^x-receiver: / && client == "header" && $2 != client "." key "@example.org" { next }
	/^Received: / && want == "" {
		id = FILENAME; sub(/.*\//, "", id); sub(/\.eml$/, "", id)
		pickup = client == "lines" || client == "header"
		trace = pickup ? "Received: by mail.example.org (smtpd) with local (Pickup) id " \
			: "Received: from client.test ([127.0.0.1])|\tby mail.example.org (smtpd) with ESMTP id "
		want = "x-sender: " (client == "header" ? sender : "a@client.test") "|x-receiver: " client "." key \
			"@example.org|Return-Path: <" sender ">|" trace id ";|\tDATE|"
		if (pickup && lacks[key] ~ /Date/) want = want "Date: DATE|"
		if (pickup && lacks[key] ~ /Message-ID/) want = want "Message-ID: <" id "@mail.example.org>|"
	}
	{
		sub(/[A-Z][a-z][a-z], [0-9 ]?[0-9] [A-Z][a-z][a-z] [0-9]+ [0-9:]+ [-+][0-9]+$/, "DATE")
		head = head $0 "|"
	}
	want != "" && length(head) >= length(want) || FNR > 1000 {
		over = 1
		if (head == want)
			print FILENAME, client, key, at
		else
			print client "." key ": the head of " FILENAME " is " head " and not " want >"wrong.heads"
	}' >heads
[ ! -e wrong.heads ] || cat wrong.heads >>wrong

# The message itself.
while read -r file client key octets; do
	case $client in
	binary) want=in/$key ;;
	lines | header) want=body/$key ;;
	exim)   want=exim/want; from_head <"want/$key" >$want ;;
	*)      want=want/$key ;;
	esac
	tail -c +$((octets + 1)) "$file" | cmp - "$want" >cmp.out 2>&1 || echo "$client.$key: $(cat cmp.out)" >>wrong
	echo "$client.$key"
done <heads >arrived

# What Pickup put into Badmail is as it was: the messages without From, and those whose addresses are none to another
# reader either: two without a comma between them, a name without angle brackets, a colon in a mailbox, nobody at all.
unusable='plain-raw_email_multiple_from plain-mix_caps_content_type error-missing_body rfc2822-example13'
for file in root/Badmail/*.txt; do
	name=$(sed -n 's/^From:  *\(.*\)\.eml in Pickup$/\1/p' "$file")
	cmp "${file%.txt}.eml" "made/$name.eml" >>wrong 2>&1
	why=$(sed 1q "$file") key=${name#*.} reason='nothing at all'
	title=$(sed -n "s/^$key .*\/\(.*\)\.eml/\1/p" names)
	case "$name $unusable " in header.*" ${title:--} "*) reason=address ;; esac
	! grep -q "^$key From" lacks || reason='no From'
	case $why in
	*"$reason"*) ;;
	*) echo "$name: Pickup did not take it: $why" >>wrong ;;
	esac
	echo "$name"
done >set-aside

sort arrived set-aside >answered
sort sent | diff - answered >>wrong || echo '(< was sent and has not arrived, > has arrived too often)' >>wrong
if [ -s wrong ]; then
	sed 20q wrong >&2
	while read -r key file; do
		! grep -q "[./]$key\([: ]\|\$\)" wrong || echo "$key is $file"
	done <names >&2
	fail "$(wc -l <wrong) complaints"
fi
[ -z "$missing" ] || skip "not installed:$missing; the other clients passed"
ok "$(wc -l <keys) messages, $(wc -l <arrived) times in Drop, $(wc -l <set-aside) times in Badmail"
