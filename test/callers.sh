#!/bin/sh
# callers: real programs send mail as they do with any sendmail: git, mutt, mailx, s-nail, PHP, nodemailer; and inetd's way
# of having a session on a socket. Each is told where our sendmail is by a setting of its own.
. "${TEST:-$(dirname "$0")}/lib.sh"

cat >conf <<E
resolver 127.0.0.1:1
server s {
	general { listen 127.0.0.1:0; hostname mail.here.example; mailroot $T/m }
	access { connect all-except 127.0.0.9; relay only 127.0.0.8 }
	domain here.example default
}
E
SMTPD_CONF=$T/conf HOME=$T; export SMTPD_CONF HOME
unset EMAIL MAILRC MBOX NAME XDG_CONFIG_HOME 2>/dev/null
mkdir -p m/Pickup
ln -s "$SMTPD" sendmail
missing=
has() { command -v "$1" >/dev/null || { missing="$missing $1"; false; }; }
calls() { limit 20 "$@" >out 2>&1 || fail "$1: $? $(cat out)"; }

# got WHO ENVELOPE: what the file in Pickup begins with, its x- lines joined, and that it has what a message needs, once.
got() {
	set -- "$1" "$2" m/Pickup/*
	[ $# = 3 ] && [ -e "$3" ] || fail "$1: in Pickup is $(ls m/Pickup)"
	tr -d '\r' <"$3" >"$1.got"
	rm "$3"
	is "$(sed -n '/^Return-Path/q; s/^x-//p' "$1.got" | tr '\n' ';')" "$2" "$1: the envelope"
	for i in From Date Message-ID Subject; do
		is "$(sed '1,/^$/!d' "$1.got" | grep -ci "^$i:")" 1 "$1: $i"
	done
	is "$(sed '1,/^$/!d' "$1.got" | grep -ci '^bcc')" 0 "$1: Bcc"
	grep 'body of the message' "$1.got" >/dev/null || fail "$1: the body is not there"
	ok "$1"
}
me="sender: $(id -un)@here.example;"
joe='sender: joe@y.example;'

if has git && git send-email -h 2>&1 | grep -q identity; then
	git init -q repository
	( cd repository && git config user.name 'Joe Doe' && git config user.email joe@y.example &&
		echo 'body of the message' >file && git add file && git commit -qm 'A subject' && git format-patch -q --root -o .. ) || fail git
	(
		cd repository
		git config sendemail.smtpserver "$T/sendmail"
		git config sendemail.confirm never
		git config sendemail.suppresscc self
		limit 30 git send-email --to 'A <a@b.example>' --cc c@d.example --bcc e@f.example ../0001*
		limit 30 git -c sendemail.envelopesender=bounce@y.example send-email --to a@b.example ../0001* 2>&1
	) >out 2>&1 || fail "git: $(cat out)"
	is "$(messages m/Pickup | wc -l)" "$(printf 'a\nb\n' | wc -l)"
	mkdir later; mv "m/Pickup/$(messages m/Pickup | tail -n 1)" later
	if grep -q bounce m/Pickup/*; then mv later/* m/; mv m/Pickup/* later; mv m/*.eml m/Pickup; fi
	got git "${me}receiver: a@b.example;receiver: c@d.example;receiver: e@f.example;"
	mv later/* m/Pickup
	got git-envelope 'sender: bounce@y.example;receiver: a@b.example;'
else
	missing="$missing git-send-email"
fi

if has mutt; then
	cat >muttrc <<-E
		set sendmail = "$T/sendmail -oem -oi"
		set from = joe@y.example
		set realname = "Joe Doe"
		set use_envelope_from = yes
		set use_8bitmime = yes
		set dsn_notify = "failure,delay"
		set dsn_return = hdrs
		set copy = no
		set charset = utf-8
		set send_charset = "us-ascii:utf-8"
	E
	printf 'body of the message: \303\244\n.\nlast line\n' | calls env LC_ALL=C.UTF-8 mutt -F muttrc -s subject -c c@d.example -b e@f.example a@b.example
	got mutt "${joe}sender-args: RET=hdrs BODY=8BITMIME;receiver: a@b.example;receiver-args: NOTIFY=failure,delay;receiver: c@d.example;receiver-args: NOTIFY=failure,delay;receiver: e@f.example;receiver-args: NOTIFY=failure,delay;"
	is "$(tail -n 1 mutt.got)" 'last line'
fi

if has bsd-mailx; then
	echo "set sendmail=$T/sendmail" >.mailrc
	printf 'body of the message\n' | calls bsd-mailx -s subject -c c@d.example -b e@f.example a@b.example root
	got mailx "${me}receiver: a@b.example;receiver: root@here.example;receiver: c@d.example;receiver: e@f.example;"
	printf 'body of the message\n' | calls bsd-mailx -r joe@y.example -s subject a@b.example
	got mailx-r "${joe}receiver: a@b.example;"
	rm .mailrc
fi

if has s-nail; then
	printf 'body of the message\n' | calls s-nail -n -S v15-compat -S "mta=$T/sendmail" -r joe@y.example -s subject -b e@f.example a@b.example
	got s-nail "${joe}receiver: a@b.example;receiver: e@f.example;"
fi

if has php; then
	cat >mail.php <<-'E'
		<?php exit(mail("a@b.example", "subject", "body of the message\n.\nlast line\n",
		    "From: joe@y.example\r\nBcc: e@f.example", $argv[1] ?? "") ? 0 : 1);
	E
	calls php -d "sendmail_path=$T/sendmail -t -i" mail.php
	got php "${me}receiver: a@b.example;receiver: e@f.example;"
	is "$(grep -cx 'last line' php.got)" 1
	calls php -d "sendmail_path=$T/sendmail -t -i -fother@y.example" mail.php -fjoe@y.example
	got php-f "${joe}receiver: a@b.example;receiver: e@f.example;"
	# It hears when it was not taken.
	limit 20 php -d "sendmail_path=$T/sendmail -t -i -C $T/none" mail.php >out 2>&1 && fail 'php thinks that it was sent'
fi

: "${NODE_PATH:=/usr/share/nodejs:/usr/lib/node_modules:/usr/local/lib/node_modules}"; export NODE_PATH
if has node && node -e 'require("nodemailer")' 2>/dev/null; then
	cat >mail.js <<-'E'
		require("nodemailer").createTransport({ sendmail: true, path: process.argv[2] }).sendMail({ from: "joe@y.example",
		    to: "a@b.example", bcc: "e@f.example", subject: "subject", text: "body of the message\n.\n" },
		    error => { if (error) { console.log(error); process.exit(1); } });
	E
	calls node mail.js "$T/sendmail"
	got nodemailer "${joe}receiver: a@b.example;receiver: e@f.example;"
else
	missing="$missing nodemailer"
fi

# --- a session: from a program that holds our end of two pipes, and from inetd, where the rules hold for who comes ---

if has python3; then
	cat >session.py <<-'E'
		import os, smtplib, socket, subprocess, sys, threading, time

		def inetd(address):
		    """Who connects from there has a sendmail on the other side; what it says to MAIL, RCPT and RCPT."""
		    listener = socket.create_server(("127.0.0.1", 0))
		    def serve():
		        connection = listener.accept()[0]
		        subprocess.call([sys.argv[1], "-bs"], stdin=connection, stdout=subprocess.DEVNULL, stderr=connection)
		        connection.close()
		    server = threading.Thread(target=serve)
		    server.start()
		    try:
		        with smtplib.SMTP("127.0.0.1", listener.getsockname()[1], "client", 10, (address, 0)) as smtp:
		            refused = smtp.sendmail("joe@y.example", ["a@b.example", "e@here.example"],
		                "From: joe@y.example\nSubject: subject\nDate: D\nMessage-ID: <i>\n\nbody of the message\n.\nlast line\n")
		            return " ".join(str(code[0]) for code in refused.values()) or "sent"
		    except smtplib.SMTPConnectError as e:
		        return str(e.smtp_code)
		    finally:
		        server.join()

		def pipes(count):
		    """Many commands at once, and their replies are not read for a while, by a pipe that does not block."""
		    reading, writing = os.pipe()
		    os.set_blocking(writing, False)
		    sendmail = subprocess.Popen([sys.argv[1], "-bs"], stdin=subprocess.PIPE, stdout=writing, bufsize=0)
		    os.close(writing)
		    threading.Thread(target=sendmail.stdin.write, args=(b"NOOP\n" * count + b"QUIT\n",), daemon=True).start()
		    time.sleep(0.5)
		    with os.fdopen(reading) as replies:
		        return " ".join(str(sum(line.startswith(code) for line in replies_read)) for replies_read in [list(replies)]
		            for code in ("220", "250", "221"))

		print(pipes(20000) if sys.argv[2] == "pipes" else inetd(sys.argv[2]))
	E
	is "$(limit 20 python3 session.py "$T/sendmail" pipes)" '1 20000 1' 'pipes'
	is "$(limit 20 python3 session.py "$T/sendmail" 127.0.0.1)" 550 'inetd'
	got inetd "${joe}receiver: e@here.example;"
	is "$(tail -n 1 inetd.got)" 'last line'
	case $(sed -n '/^Received/p' inetd.got) in *'client ([127.0.0.1])'*) ;; *) fail "$(cat inetd.got)" ;; esac
	if [ "$(uname)" = Linux ]; then	# where all of 127 is ours
		is "$(limit 20 python3 session.py "$T/sendmail" 127.0.0.8)" sent 'who may relay'
		got inetd-relay "${joe}receiver: a@b.example;receiver: e@here.example;"
		is "$(limit 20 python3 session.py "$T/sendmail" 127.0.0.9)" 554 'who may not connect'
		is "$(ls m/Pickup)" ''
	fi
fi

[ -z "$missing" ] || skip "not installed:$missing"
