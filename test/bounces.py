"""bounces: sends the mail of which test/bounceparse.sh wants to be told, and reads what is told as others would.

    bounces.py send PORT            sends all cases to 127.0.0.1; prints those that a server may refuse, and did
    bounces.py check DROP PHASE     waits for the reports that PHASE (now, delayed, expired) has to bring into this
                                    folder, and complains about each one that is not as RFC 3461, 3464, 6522 and 6533
                                    want it, or that nobody expects
"""
import email, email.policy, email.utils, os, re, smtplib, sys, time

from flufl.bounce import all_failures

HERE = 'mail.here.test'
PHASES = ['now', 'delayed', 'expired']

# What a recipient must be told to have met: phase, action, status, and how the other side's words begin.
UNKNOWN = 'now failed 5.1.1 550 5.1.1'
LATE = ['delayed delayed 4.7.1 451 4.7.1', 'expired failed 4.4.7']

class Case:
    def __init__(self, *recipients, sender='s@here.test', args='', text='Hi.\r\n', header='', returned=None):
        self.sender, self.args, self.text, self.header, self.returned = sender, args, text, header, returned
        self.recipients = {}            # address: (arguments, what is expected, original recipient)
        for r in recipients:
            address, words, *expected = r
            original = None
            m = re.search(r'ORCPT=(\S+)', words)
            if m:
                kind, name = m[1].split(';')
                original = kind + ';' + unxtext(name)
            self.recipients[address] = (words, expected, original)
        m = re.search(r'ENVID=(\S+)', args)
        self.envid = unxtext(m[1]) if m else None
        self.utf8 = 'SMTPUTF8' in args
        self.whole = 'RET=FULL' in args

def unembedded(text):
    return re.sub(r'\\x\{([0-9A-F]+)\}', lambda m: chr(int(m[1], 16)), text)

def unxtext(text):
    return unembedded(re.sub(r'\+([0-9A-F]{2})', lambda m: chr(int(m[1], 16)), text))

LARGE = 'fifty octets, and there are many of these lines.\r\n' * 200
CASES = {
    # What the other side says to RCPT, and to the message.
    'unknown': Case(('bad@a.to.test', '', UNKNOWN)),
    'some': Case(('bad1@a.to.test', 'NOTIFY=FAILURE ORCPT=rfc822;Bad+2BOne@orig.test', UNKNOWN),
        ('good@a.to.test', 'NOTIFY=FAILURE'),
        ('bad2@a.to.test', '', UNKNOWN), ('bad3@a.to.test', 'NOTIFY=NEVER'),
        ('bad4@a.to.test', 'NOTIFY=SUCCESS,DELAY'), args='RET=HDRS ENVID=QQ+2B314159+3D'),
    'x400': Case(('bad@a.to.test', 'ORCPT=x400;/G+3DBad/S+3DTwo/', UNKNOWN)),
    'fifty': Case(*[('bad%d@a.to.test' % i, '', UNKNOWN) for i in range(50)], args='RET=HDRS'),
    'spam': Case(('u@spam.to.test', '', 'now failed 5.7.1 554 5.7.1'), args='RET=FULL ENVID=x'),
    'eight': Case(('u@spam.to.test', '', 'now failed 5.7.1 554 5.7.1'), args='RET=FULL BODY=8BITMIME',
        text='Gr\u00fc\u00dfe.\r\n'),
    'words': Case(('u@odd.test', '', 'now failed 5.7.9 550 5.7.9')),
    'mute': Case(('v@mute.test', '', 'now failed 5.0.0 550 ')),
    # What the name servers say.
    'gone': Case(('u@gone.test', '', 'now failed 5.1.2')),
    'nullmx': Case(('u@null.test', '', 'now failed 5.1.10')),
    'self': Case(('u@self.test', '', 'now failed 5.4.6')),
    # What the next hop cannot.
    'large': Case(('u@a.to.test', '', 'now failed 5.3.4'), args='RET=HDRS', text=LARGE),
    'eight-old': Case(('u@old.test', '', 'now failed 5.6.*'), args='BODY=8BITMIME',
        header='X-Raw: Gr\u00fc\u00dfe\r\n', text='Gr\u00fc\u00dfe.\r\n'),     # what is in a field cannot be encoded
    'utf8-old': Case(('\u00fc@old.test', '', 'now failed 5.6.7'), args='SMTPUTF8 BODY=8BITMIME'),
    # Success.
    'local': Case(('u@here.test', 'NOTIFY=DELAY,SUCCESS ORCPT=rfc822;U@orig.test', 'now delivered 2.*'),
        ('v@here.test', ''), ('w@here.test', 'NOTIFY=FAILURE,DELAY'), args='RET=FULL ENVID=local'),
    'relayed': Case(('u@old.test', 'NOTIFY=SUCCESS ORCPT=rfc822;U+2B1@orig.test', 'now relayed 2.* 250 '), ('v@old.test', ''),
        args='RET=FULL ENVID=relayed'),
    'local-none': Case(('u@here.test', 'NOTIFY=FAILURE,DELAY')),
    'passed': Case(('u@a.to.test', 'NOTIFY=SUCCESS'), args='RET=FULL'),
    # Time.
    'grey': Case(('u@grey.to.test', '', *LATE)),
    'grey-both': Case(('v@grey.to.test', 'NOTIFY=FAILURE,DELAY ORCPT=rfc822;V@orig.test', *LATE), args='RET=HDRS ENVID=grey'),
    'grey-failure': Case(('w@grey.to.test', 'NOTIFY=FAILURE', LATE[1]), args='RET=FULL'),
    'grey-delay': Case(('x@grey.to.test', 'NOTIFY=DELAY', LATE[0])),
    'grey-never': Case(('y@grey.to.test', 'NOTIFY=NEVER')),
    'unresolved': Case(('u@fails.test', '', 'delayed delayed 4.4.*', 'expired failed 4.4.7')),
    # Other alphabets.
    'utf8-sender': Case(('bad@a.to.test', 'ORCPT=rfc822;bad@orig.test', UNKNOWN), sender='\u00fc@here.test',
        args='SMTPUTF8 BODY=8BITMIME RET=HDRS', header='Subject: Gr\u00fc\u00dfe\r\n'),
    'utf8-rcpt': Case(('bad\u00fc@a.to.test', 'ORCPT=utf-8;B\\x{FC}d@orig.test', UNKNOWN),
        args='SMTPUTF8 BODY=8BITMIME RET=FULL ENVID=u', header='To: <bad\u00fc@a.to.test>\r\n'),
    'utf8-local': Case(('u\u00fc@here.test', 'NOTIFY=SUCCESS', 'now delivered 2.*'), args='SMTPUTF8 BODY=8BITMIME'),
    'utf8-grey': Case(('\u00fc@grey.to.test', '', *LATE), args='SMTPUTF8 BODY=8BITMIME'),
    # What must not get into a report as it is.
    'tricks': Case(('bad@a.to.test', 'ORCPT=rfc822;a+0D+0AX-Evil:+20yes', UNKNOWN), args='ENVID=a+0D+0AX-Evil:+20yes'),
    'tricks8': Case(('bad@a.to.test', 'ORCPT=rfc822;+FC', UNKNOWN), args='ENVID=+FC'),
    'header': Case(('bad@a.to.test', '', UNKNOWN), args='RET=FULL',
        header='Received: from x by x; Tue, 1 Apr 2025 10:00:00 +0000\r\nX-Long: ' + 'x' * 990 + '\r\n'),
    # Nobody to tell.
    'null': Case(('bad@a.to.test', 'NOTIFY=FAILURE'), sender=''),
}

# --- send ---

def send(port):
    with smtplib.SMTP('127.0.0.1', port, 'client.test', 20) as s:
        s.command_encoding = 'utf-8'
        s.ehlo()
        for key, c in CASES.items():
            reply = s.docmd('MAIL', 'FROM:<%s> %s' % (c.sender, c.args))
            if key.startswith('tricks') and reply[0] == 501:       # this is as good
                print(key)
                continue
            taken = 0
            for address, (words, *_) in c.recipients.items():
                reply = s.docmd('RCPT', 'TO:<%s> %s' % (address, words))
                taken += reply[0] == 250
            if key.startswith('tricks') and not taken:
                print(key)
                s.docmd('RSET')
                continue
            if taken != len(c.recipients):
                sys.exit('%s: a recipient was refused: %r' % (key, reply))
            s.docmd('DATA')
            text = 'X-Case: %s\r\n%sFrom: <%s>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n' \
                'Content-Transfer-Encoding: %s\r\n\r\n%s.\r\n' % (key, c.header, c.sender or 'postmaster@here.test',
                '7bit' if c.text.isascii() else '8bit', c.text)
            s.send(text.encode())
            reply = s.getreply()
            if reply[0] != 250:
                sys.exit('%s: %r' % (key, reply))

# --- check ---

def load(folder):
    """The messages with a null sender that are not the ones we sent: a list of (name, envelope, text)."""
    reports = []
    for name in sorted(os.listdir(folder)):
        if name.endswith('.eml'):
            with open(os.path.join(folder, name), 'rb') as f:
                octets = f.read()
            envelope, text = re.match(rb'((?:x-[a-z-]+: [^\n]*\n)+Return-Path: [^\n]*\n)(.*)', octets, re.S).groups()
            if envelope.startswith(b'x-sender: <>') or b'\nAuto-Submitted:' in text.split(b'\r\n\r\n')[0]:
                reports.append((name, envelope.decode(), text))
    return reports

def fields(block):
    """A block of fields as a list of (name in lower case, value), unfolded."""
    out = []
    for line in re.sub(r'\r\n[ \t]+', ' ', block).split('\r\n'):
        if line:
            name, colon, value = line.partition(':')
            out.append((name.lower() if colon else 'NO FIELD ' + line, value.strip()))
    return out

class Report:
    def __init__(self, name, envelope, octets):
        self.name, self.envelope, self.octets, self.wrong = name, envelope, octets, []
        self.key, self.told = None, []          # told: (recipient, action, status) of each block
        try:
            self.check()
        except Exception as e:
            self.bad('cannot be read any further', e)

    def bad(self, why, *more):
        self.wrong.append(why + ''.join(' %r' % m for m in more))

    def want(self, what, got, wanted):
        if got != wanted:
            self.bad('%s is %r, not %r' % (what, got, wanted))

    def check(self):
        head, _, rest = self.octets.partition(b'\r\n\r\n')
        if re.search(rb'\r(?!\n)|(?<!\r)\n', self.octets) or not self.octets.endswith(b'\r\n'):
            self.bad('line ends')
        if max(map(len, self.octets.split(b'\r\n'))) > 998:
            self.bad('a line that is too long')
        self.msg = msg = email.message_from_bytes(self.octets, policy=email.policy.default.clone(utf8=True))
        m = re.search(rb'^X-Case: (\S+)\r$', rest, re.M)
        if m is None or m[1].decode() not in CASES:
            self.bad('it returns nothing that we sent')
            return
        self.key = m[1].decode()
        self.case = CASES[self.key]
        self.check_envelope()
        self.check_defects()
        self.check_header(head)
        self.check_structure()

    def check_envelope(self):
        lines = self.envelope.split('\r\n')
        self.want('the envelope', [l for l in lines if '-args: ' not in l],
            ['x-sender: <>', 'x-receiver: ' + self.case.sender, 'Return-Path: <>', ''])
        args = ' '.join(l.partition(' ')[2] for l in lines if l.startswith('x-sender-args: ')).split()
        if not self.case.sender.isascii() and 'SMTPUTF8' not in args:
            self.bad('SMTPUTF8 is not said for a sender who needs it', args)
        if not self.octets.isascii() and 'BODY=8BITMIME' not in args:
            self.bad('8-bit octets and no BODY=8BITMIME', args)
        if self.octets.isascii() and 'SMTPUTF8' in args and self.case.sender.isascii():
            self.bad('SMTPUTF8 is said and not needed', args)

    def check_defects(self):
        for part in self.msg.walk():
            for d in part.defects:
                self.bad('defect of %s' % part.get_content_type(), d)
            for name, value in part.items():
                if part is self.original() or not self.case.sender.isascii() and name.lower() == 'to':
                    continue                    # what email makes of UTF-8 in octets is its own affair
                for d in getattr(value, 'defects', ()):
                    self.bad('defect of %s' % name, value, d)

    def original(self):
        parts = self.msg.get_payload()
        if isinstance(parts, list) and len(parts) == 3 and isinstance(parts[2].get_payload(), list):
            return parts[2].get_payload()[0]

    def check_header(self, head):
        names = [k.lower() for k in self.msg.keys() if k.lower() != 'received']
        for name in 'from to date subject message-id mime-version content-type auto-submitted'.split():
            if names.count(name) != 1:
                self.bad('%d times %s' % (names.count(name), name))
                return
        for name in set(names):
            if names.count(name) > 1 or name.startswith('x-evil'):
                self.bad('%d times %s' % (names.count(name), name))
        if self.case.sender.isascii():
            self.want('To', [a.addr_spec for a in self.msg['To'].addresses], [self.case.sender])
        elif not re.search(r'^To: <?%s>?\r$' % self.case.sender, head.decode() + '\r', re.M):
            self.bad('To')
        sender = self.msg['From'].addresses
        if len(sender) != 1 or not sender[0].display_name or \
                not re.fullmatch(r'postmaster@(mail\.)?here\.test', sender[0].addr_spec, re.I):
            self.bad('From', self.msg['From'])
        self.time('Date', self.msg['Date'])
        if not re.fullmatch(r'<[!-;=?A-~-]+@mail\.here\.test>', self.msg['Message-ID'].strip()):
            self.bad('Message-ID', self.msg['Message-ID'])
        self.want('Auto-Submitted', self.msg['Auto-Submitted'], 'auto-replied')
        self.want('MIME-Version', self.msg['MIME-Version'], '1.0')
        self.want('Content-Type', self.msg.get_content_type(), 'multipart/report')
        self.want('report-type', (self.msg.get_param('report-type') or '').lower(), 'delivery-status')
        if not head.isascii() and self.case.sender.isascii():
            self.bad('8-bit octets in its header')

    def check_structure(self):
        case, parts = self.case, self.msg.get_payload()
        if not isinstance(parts, list) or len(parts) != 3:
            self.bad('not three parts')
            return
        boundary = self.msg.get_boundary()
        raw = re.split(rb'(?:^|\r\n)--' + re.escape(boundary.encode()) + rb'(?:--)?(?=\r\n|$)',
            self.octets.partition(b'\r\n\r\n')[2])
        self.raw = [r[2:] for r in raw[1:4]]
        if len(raw) != 5:
            self.bad('the boundary stands %d times' % (len(raw) - 1))
            return
        if raw[4].strip():
            self.bad('something stands behind it', raw[4])
        # Whether its recipients or its sender need UTF-8: then all of it is of the global kind.
        utf8 = case.utf8
        kind = [p.get_content_type() for p in parts]
        self.want('the first part', kind[0], 'text/plain')
        text = parts[0].get_content()
        if not text.strip() or not any(r in text for r in case.recipients):
            self.bad('the first part tells nothing', text)
        self.want('the second part', kind[1], 'message/global-delivery-status' if utf8 else 'message/delivery-status')
        self.check_status(self.raw[1].partition(b'\r\n\r\n')[2])
        failed = any(action == 'failed' for _, action, _ in self.told)
        self.check_returned(parts[2], kind[2], failed, utf8)
        for p, octets in zip(parts, self.raw):
            encoding = (p['Content-Transfer-Encoding'] or '7bit').lower()
            outer = (self.msg['Content-Transfer-Encoding'] or '7bit').lower()
            if octets.isascii() and encoding == '7bit':
                continue
            if encoding in ('quoted-printable', 'base64') and p.get_content_maintype() == 'text' and octets.isascii():
                continue
            if encoding != '8bit' or outer != '8bit':
                self.bad('%s is %s within %s' % (p.get_content_type(), encoding, outer))

    def check_returned(self, part, kind, failed, utf8):
        body = self.raw[2].partition(b'\r\n\r\n')[2]
        headers = 'message/global-headers' if utf8 else 'text/rfc822-headers'
        whole = 'message/global' if utf8 else 'message/rfc822'
        if not failed or 'RET=HDRS' in self.case.args:
            self.want('what is returned', kind, headers)
        elif 'RET=FULL' in self.case.args:
            self.want('what is returned', kind, whole)
        elif kind not in (headers, whole):
            self.bad('what is returned', kind)
        if kind == headers and re.search(rb'\r\n\r\n.', body, re.S):
            self.bad('more than the header is returned')
        if kind == whole and self.case.text.encode().rstrip() not in body:
            self.bad('not all of the message is returned')
        if b'x-sender' in body or b'x-receiver' in body:
            self.bad('the envelope is returned')
        received = re.match(rb'(Return-Path: [^\n]*\n)?Received: from client\.test [^\n]*\n(\s[^\n]*\n)*', body)
        if received is None or not body[received.end():].startswith(b'X-Case: '):
            self.bad('what is returned begins with', body[:300])

    def check_status(self, octets):
        try:
            text = octets.decode()
        except UnicodeDecodeError:
            self.bad('the second part is not UTF-8')
            return
        if not self.case.utf8 and not text.isascii():
            self.bad('the second part has 8-bit octets')
        blocks = [fields(b) for b in re.split(r'\r\n(?:\r\n)+', text.strip('\r\n') + '\r\n')]
        blocks = [b for b in blocks if b]
        for b in blocks:
            names = [n for n, _ in b]
            for n in names:
                if names.count(n) > 1 or n not in FIELDS:
                    self.bad('%d times %s' % (names.count(n), n))
        message, recipients = dict(blocks[0]), blocks[1:]
        self.want('Reporting-MTA', re.sub('; +', ';', message.get('reporting-mta', '')), 'dns;' + HERE)
        if not self.key.startswith('tricks'):
            self.want('Original-Envelope-Id', message.get('original-envelope-id'), self.case.envid)
        self.arrival = self.date(message, 'arrival-date', True)
        for block in recipients:
            self.check_recipient(dict(block))

    def date(self, block, name, needed=False):
        if name not in block:
            if needed:
                self.bad('no ' + name)
            return None
        return self.time(name, block[name])

    def time(self, name, text):
        try:
            t = email.utils.parsedate_to_datetime(text)
        except (TypeError, ValueError):
            t = None
        if t is None or not re.fullmatch(t.strftime('%a, (%d|{}) %b %Y %H:%M:%S [+-]\\d{{4}}( \\(.*\\))?').format(t.day), text):
            self.bad(name, text)
            return None
        if abs(t.timestamp() - time.time()) > 4 * 86400:
            self.bad(name + ' is far away', text)
        return t.timestamp()

    def check_recipient(self, block):
        kind, _, address = [x.strip() for x in block.get('final-recipient', '').partition(';')]
        action, status = block.get('action'), block.get('status', '')
        self.told.append((address, action, status))
        if address not in self.case.recipients:
            self.bad('Final-Recipient', block)
            return
        self.want('the type of ' + address, kind.lower(), 'rfc822' if address.isascii() else 'utf-8')
        words, expected, original = self.case.recipients[address]
        if not self.key.startswith('tricks'):
            got = block.get('original-recipient')
            # The embedded form of RFC 6533, section 3, may stay: it is legal everywhere.
            self.want('Original-Recipient', got and unembedded(re.sub('; +', ';', got)), original)
        m = re.fullmatch(r'([245])\.(\d{1,3})\.(\d{1,3})( \(.*\))?', status)
        if m is None or m[1] not in {'failed': '54', 'delayed': '4', 'delivered': '2', 'relayed': '2'}.get(action, ''):
            self.bad('Action and Status', block)
            return
        wanted = [e.split(' ', 3) for e in expected if e.split()[1] == action]
        if not wanted:
            self.bad('nobody asked for', block)
            return
        _, _, code, *said = wanted[0]
        if status != code and not (code.endswith('*') and status.startswith(code[:-1])):
            self.bad('Status of %s is %s and not %s' % (address, status, code))
        self.date(block, 'last-attempt-date', False)
        until = self.date(block, 'will-retry-until', False)
        if until is not None and (action != 'delayed' or self.arrival and abs(until - self.arrival - 2 * 86400) > 5):
            self.bad('Will-Retry-Until', block)
        diagnostic = block.get('diagnostic-code')
        if said and diagnostic is None:
            self.bad('no Diagnostic-Code', block)
        if diagnostic is not None:
            # Of the other side, with its code; or of our own making.
            m = re.fullmatch(r'(?:smtp; *\d\d\d(?:[ -]|$)|x-smtpd; *)(?:([245]\.\d+\.\d+) )?.*', diagnostic)
            if m is None:
                self.bad('Diagnostic-Code', diagnostic)
            elif m[1] and status != m[1] and status != '4.4.7':
                self.bad('Status %s and Diagnostic-Code disagree' % status, diagnostic)
            if said and not re.match(r'smtp; *' + re.escape(said[0].strip()), diagnostic):
                self.bad('Diagnostic-Code', diagnostic)
        if 'remote-mta' in block and not re.fullmatch(r'dns; *[A-Za-z0-9.\[\]:-]+', block['remote-mta']):
            self.bad('Remote-MTA', block)
        if said and 'remote-mta' not in block:
            self.bad('no Remote-MTA', block)

    def check_flufl(self):
        if self.case.utf8 or self.key in ('x400', 'tricks', 'tricks8'):
            return                              # of which it does not know
        # It looks at the original recipient first.
        name = lambda r: (self.case.recipients[r][2] or 'rfc822;' + r).partition(';')[2]
        temporary, permanent = [{a.decode() for a in s} for s in all_failures(email.message_from_bytes(self.octets))]
        for what, got, action in ('temporary', temporary, 'delayed'), ('permanent', permanent, 'failed'):
            self.want('what flufl.bounce takes for ' + what, got, {name(r) for r, a, _ in self.told if a == action})

FIELDS = set('''reporting-mta original-envelope-id arrival-date received-from-mta dsn-gateway
    original-recipient final-recipient action status remote-mta diagnostic-code last-attempt-date final-log-id
    will-retry-until'''.split())

def check(folder, phase):
    phases = PHASES[:PHASES.index(phase) + 1]
    refused = open('refused').read().split() if os.path.exists('refused') else []
    expected = sorted((key, address, e.split()[1]) for key, c in CASES.items() if key not in refused
        for address, (_, lines, _) in c.recipients.items() for e in lines if e.split()[0] in phases)
    until = time.time() + 15
    while True:
        reports = [Report(*r) for r in load(folder)]
        told = sorted((r.key, address, action) for r in reports for address, action, _ in r.told)
        if len(told) >= len(expected) or time.time() > until:
            break
        time.sleep(0.1)
    wrong = 0
    for t in sorted(set(expected) | set(told)):
        n = told.count(t) - expected.count(t)
        if n != 0:
            wrong += 1
            print(' '.join(map(str, t)) + ': has ' + ('not been reported' if n < 0 else 'been reported %d times too often' % n))
    ids = [r.msg['Message-ID'] for r in reports]
    for r in reports:
        if r.key is not None:
            r.check_flufl()
        if ids.count(r.msg['Message-ID']) > 1:
            r.bad('its Message-ID is not its own')
        for w in r.wrong:
            wrong += 1
            print('%s (%s): %s' % (r.name, r.key, w))
    print('%d reports, %d recipients' % (len(reports), len(told)))
    sys.exit(wrong > 0)

if sys.argv[1] == 'send':
    send(int(sys.argv[2]))
else:
    check(sys.argv[2], sys.argv[3])
