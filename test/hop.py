# hop.py - next hops with TLS and AUTH that do well, or not, as they are told:
#
#     python3 hop.py 'NAME WORD=VALUE ...' ...
#
# prints `NAME is at ADDR:PORT' of each, then what happens:
#
#     NAME tls VERSION name=SNI|-  client=yes|no     a handshake that succeeded
#     NAME auth METHOD USER yes|no                   an exchange that came to its end
#     NAME mail LINE                                 a command MAIL, as it came
#     NAME took Subject                              a message
#     NAME end                                       a connection that is over
#
#     at=ADDR:PORT     instead of 127.0.0.1:0
#     cert=FILE        with key FILE less .pem and -chain, plus .key: STARTTLS is offered; with first=yes TLS comes first
#     ask=FILE         asks for a client certificate of these authorities; must=FILE refuses who has none
#     starttls=refuse (454), inject (a reply more in the same packet), garbage, hangup, silent, tell (offers SIZE 1 in clear),
#                      early (its reply comes before it is asked)
#     auth=A,B,...     offered; user=USER password=PASSWORD, clear=no: under TLS only
#     verdict=CODE     the answer to any password; scram=unsigned, forged, malformed: what the server's proof is
#     mail=CODE        the answer to MAIL; clearly=CODE the same, in clear; greet=CODE; hold=FILE: after the dot it waits for FILE
import base64, hashlib, hmac, os, socket, ssl, sys, threading, time

lock = threading.Lock()


def tell(*words):
    with lock:
        print(*words, flush=True)


b64 = lambda octets: base64.b64encode(octets).decode()
unb64 = lambda text: base64.b64decode(text)
mac = lambda key, text: hmac.new(key, text, hashlib.sha256).digest()


class Talk:
    def __init__(self, hop, sock):
        self.hop, self.sock, self.tls = hop, sock, False
        self.file = sock.makefile('rb')

    def say(self, text):
        self.sock.sendall(text.encode() + b'\r\n')

    def hear(self):
        line = self.file.readline()
        if not line:
            raise EOFError
        return line.decode('latin-1').rstrip('\r\n')

    def secure(self):
        h = self.hop
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(h['cert'], h['cert'].replace('-chain', '').replace('.pem', '.key'))
        names = []
        context.sni_callback = lambda s, name, c: names.append(name)
        if 'ask' in h or 'must' in h:
            context.load_verify_locations(h.get('ask') or h['must'])
            context.verify_mode = ssl.CERT_REQUIRED if 'must' in h else ssl.CERT_OPTIONAL
        self.sock = context.wrap_socket(self.sock, server_side=True)
        self.file = self.sock.makefile('rb')
        self.tls = True
        tell(h['name'], 'tls', self.sock.version(), 'name=%s' % (names and names[0] or '-'),
             'client=%s' % ('yes' if self.sock.getpeercert() else 'no'))

    def ehlo(self):
        h = self.hop
        offers = ['SIZE 1000000', '8BITMIME', 'PIPELINING']
        if 'cert' in h and not self.tls:
            offers.append('STARTTLS')
        if h.get('starttls') == 'tell' and not self.tls:
            offers[0] = 'SIZE 1'
        if 'auth' in h and (self.tls or h.get('clear') != 'no'):
            offers.append('AUTH ' + h['auth'].replace(',', ' '))
        for i, offer in enumerate(['hop'] + offers):
            self.say('250%s%s' % ('-' if i < len(offers) else ' ', offer))
        if h.get('starttls') == 'early' and not self.tls:
            self.say('220 go')
            self.secure()

    def starttls(self):
        how = self.hop.get('starttls')
        if how == 'refuse':
            return self.say('454 4.7.0 not now')
        if how == 'hangup':
            raise EOFError
        if how == 'inject':
            self.sock.sendall(b'220 go\r\n250 injected\r\n')
        elif how == 'silent':
            self.say('220 go')
            self.hear()
        else:
            self.say('220 go')
        if how == 'garbage':
            self.sock.recv(1000)
            self.say('what is that?')
            raise EOFError
        self.secure()

    def challenge(self, text):
        self.say('334 ' + text)
        answer = self.hear()
        if answer == '*':
            raise PermissionError
        return unb64(answer)

    def auth(self, words):
        h = self.hop
        method, first = words[1].upper(), unb64(words[2].replace('=', '') + '==' if words[2] == '=' else words[2]) \
            if len(words) > 2 else None
        user = password = ''
        good = None
        if method == 'PLAIN':
            user, password = (first if first is not None else self.challenge('')).decode().split('\0')[1:]
        elif method == 'LOGIN':
            user = (first or self.challenge(b64(b'Username:'))).decode()
            password = self.challenge(b64(b'Password:')).decode()
        elif method == 'XOAUTH2':
            parts = (first or self.challenge('')).decode().split('\1')
            user, password = parts[0][5:], parts[1][len('auth=Bearer '):]
            if password != h['password']:
                self.challenge(b64(b'{"status":"400"}'))
        elif method == 'SCRAM-SHA-256':
            user, good = self.scram(first or self.challenge(''))
        if good is None:
            good = user == h['user'] and password == h['password']
        if 'verdict' in h:
            good = h['verdict'][0] == '2'
        tell(h['name'], 'auth', method, user, 'yes' if good else 'no')
        self.say('235 2.7.0 welcome' if good else '%s 5.7.8 the password is wrong' % h.get('verdict', '535')
                 if h.get('verdict', '535')[0] == '5' else h['verdict'] + ' 4.7.0 not now')
        self.known = good

    def scram(self, first):
        h, how = self.hop, self.hop.get('scram')
        bare = first[first.index(b'n='):]
        user, nonce = [part[2:].decode() for part in bare.split(b',')[:2]]
        salt, count = os.urandom(12), 4096
        server = ('r=%sxyz,s=%s,i=%d' % (nonce, b64(salt), count)).encode()
        if how == 'malformed':
            server = b'r=other,s=,i=0'
        last = self.challenge(b64(server))
        head, proof = last.rsplit(b',p=', 1)
        text = bare + b',' + server + b',' + head
        salted = hashlib.pbkdf2_hmac('sha256', h['password'].encode(), salt, count)
        key = mac(salted, b'Client Key')
        want = bytes(a ^ b for a, b in zip(key, mac(hashlib.sha256(key).digest(), text)))
        good = user == h['user'] and want == unb64(proof)
        if good and how != 'unsigned':
            signed = mac(mac(salted, b'Server Key'), text if how != 'forged' else b'?')
            self.challenge(b64(b'v=' + b64(signed).encode()))
        return user, good

    def data(self):
        self.say('354 go on')
        subject = '-'
        while True:
            line = self.hear()
            if line == '.':
                break
            if line.startswith('Subject: '):
                subject = line[9:]
        tell(self.hop['name'], 'took', subject)
        while 'hold' in self.hop and not os.path.exists(self.hop['hold']):
            time.sleep(.02)
        self.say('250 2.0.0 taken')

    def command(self, line):
        verb = line.split(' ')[0].upper()
        if verb == 'EHLO':
            self.ehlo()
        elif verb == 'STARTTLS':
            self.starttls()
        elif verb == 'AUTH':
            try:
                self.auth(line.split(' '))
            except PermissionError:
                self.say('501 5.0.0 given up')
        elif verb == 'MAIL':
            tell(self.hop['name'], 'mail', line)
            code = self.hop.get('mail' if self.tls or 'clearly' not in self.hop else 'clearly', '250')
            self.say(code + (' ok' if code == '250' else ' 5.7.1 you may not'))
        elif verb == 'DATA':
            self.data()
        elif verb == 'QUIT':
            self.say('221 bye')
            raise EOFError
        else:
            self.say('250 ok')

    def run(self):
        try:
            if self.hop.get('first') == 'yes':
                self.secure()
            self.say(self.hop.get('greet', '220') + ' hop')
            while True:
                self.command(self.hear())
        except (EOFError, OSError):
            pass
        tell(self.hop['name'], 'end')
        self.sock.close()


def serve(hop, listener):
    while True:
        sock, _ = listener.accept()
        threading.Thread(target=Talk(hop, sock).run, daemon=True).start()


for spec in sys.argv[1:]:
    words = spec.split()
    hop = dict(word.split('=', 1) for word in words[1:])
    hop['name'] = words[0]
    at = hop.get('at', '127.0.0.1:0').rsplit(':', 1)
    listener = socket.create_server((at[0], int(at[1])))
    tell(hop['name'], 'is at', '%s:%d' % listener.getsockname()[:2])
    threading.Thread(target=serve, args=(hop, listener), daemon=True).start()
threading.Event().wait()
