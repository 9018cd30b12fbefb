#!/bin/sh
# Goal: how connections end under TLS. Our last words are heard, whatever is still unread; who has said that he is done
# is done, though there were octets before it; who sends more of the protocol than of his own (key updates) is cut off;
# and one who came for TLS hears nothing in clear.
. "${TEST:-$(dirname "$0")}/lib.sh"
. "$TEST/certs"
need_tls
need openssl python3

authority ca
certify mail ca mail.example.org
cat >closes.conf <<'E'
resolver 127.0.0.1:1
server main {
    general { listen 127.0.0.1:0 tls; hostname mail.example.org; mailroot main }
    access { certificate mail.pem mail.key }
    messages { max-size 20K }
    domain example.org default
}
server proxied {
    general { listen 127.0.0.1:0 tls proxy-from 127.0.0.1; hostname mail.example.org; mailroot proxied }
    access { certificate mail.pem mail.key }
    domain example.org default
}
E
start_server closes.conf -v
MAIN=$(port_of main) PROXIED=$(port_of proxied)

cat >ends.py <<'E'
import socket, ssl, sys
trust = ssl.create_default_context(cafile="ca.pem")

def client():
    s = trust.wrap_socket(socket.create_connection(("127.0.0.1", int(sys.argv[1])), 30), server_hostname="mail.example.org")
    return s, s.makefile("rb")

def say(s, f, line):
    s.sendall(line + b"\r\n")
    while True:
        heard = f.readline()
        if heard[3:4] != b"-":
            return heard

# More than twice max-size: 552, though we are still sending.
s, f = client()
f.readline()
for line in b"EHLO c", b"MAIL FROM:<>", b"RCPT TO:<x>", b"DATA":
    say(s, f, line)
try:
    for i in range(40):
        s.sendall(b"x" * 998 + b"\r\n" + b"y" * 24000 + b"\r\n")
except OSError:
    pass
print(f.readline().decode().rstrip())

# A command and the end in one segment.
s, f = client()
f.readline()
raw = ssl.MemoryBIO(), ssl.MemoryBIO()
o = trust.wrap_bio(raw[0], raw[1], server_hostname="mail.example.org")
t = socket.create_connection(("127.0.0.1", int(sys.argv[1])), 30)
while True:
    try:
        o.do_handshake()
        break
    except ssl.SSLWantReadError:
        t.sendall(raw[1].read())
        raw[0].write(t.recv(65536))
t.sendall(raw[1].read())
o.write(b"NOOP\r\n")
try:
    o.unwrap()
except ssl.SSLError:
    pass
t.sendall(raw[1].read())
t.settimeout(20)
while t.recv(65536):
    pass
print("closed")
E
python3 ends.py "$MAIN" >ends.out 2>&1 || fail "$(cat ends.out)"
is "$(cat ends.out)" '552 5.3.4 The message is too large: 20480 octets at most
closed'

# s_client does not end of itself, for its input goes on.
i=0
while [ ! -e over ] && [ $i -lt 1500 ]; do echo K; sleep 0.02; i=$((i + 1)); done | {
	limit 30 openssl s_client -connect "$HOST:$MAIN" -CAfile ca.pem -tls1_3 >updates.log 2>&1
	echo $? >over
}
[ "$(cat over)" != 124 ] || fail 'key updates without end are taken'

# In PROXY still, when the server stops.
( sleep 5 | "$TEST/nc" "$HOST" "$PROXIED" >heard 2>/dev/null ) &
nobody=$!
wait_for '[ "$(grep -c "^- connected" server.log)" -gt "$(grep -c "^- closed #" server.log)" ]'
stop_server
wait $nobody
is "$(cat heard)" '' 'who came for TLS hears nothing in clear'
