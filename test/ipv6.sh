#!/bin/sh
# Goal: over IPv6 addresses are written as RFC 5321, sections 4.1.3 and 4.4, want them: in the trace header, and as a
# literal that is our own.
. "${TEST:-$(dirname "$0")}/lib.sh"

own_nc
case $("$own" ::1 1 2>&1 </dev/null) in *refused*) ;; *) skip 'no IPv6 here' ;; esac
cat >six.conf <<'E'
server main {
    general { listen [::1]:0; hostname mail.example.org; mailroot main }
    access { relay only 127.0.0.1 2001:db8::/32 }
    domain example.org default
}
E
cat >six.t <<'E'
S: 220 *
C: EHLO [IPv6:::1]
S: 250-mail.example.org greets *
S* 250 HELP
C: MAIL FROM:<smith@[IPv6:2001:db8::1]>
S: 250 2.1.0 *
C: RCPT TO:<jones@[IPv6:::1]>
S: 250 2.1.5 <jones@example.org> recipient ok
C: RCPT TO:<green@[ipv6:0:0:0:0:0:0:0:1]>
S: 250 2.1.5 <green@example.org> recipient ok
C: RCPT TO:<jones@[127.0.0.1]>
S: 550 5.7.1 *
C: RCPT TO:<jones@[::1]>
S: 501 5.1.3 *
C: RCPT TO:<jones@[IPv6:2001:db8::1]>
S: 550 5.7.1 *
C: DATA
S: 354 *
C: Subject: six
C: 
C: .
S: 250 2.6.0 *
C: QUIT
S: 221 *
E
cat >six.mail <<'E'
x-sender: smith@[IPv6:2001:db8::1]
x-receiver: jones@example.org
x-receiver: green@example.org
Return-Path: <smith@[IPv6:2001:db8::1]>
Received: from [IPv6:::1] ([IPv6:::1])
	by mail.example.org (smtpd) with ESMTP id *
	*
Subject: six

E
start_server six.conf
HOST=::1
converse six.t
mail_is six.mail main/Drop
ok
