#!/bin/sh
# Goal: on a terminal `smtpd password' asks twice and shows nothing; when it is interrupted the terminal is as it was.
. "${TEST:-$(dirname "$0")}/lib.sh"
need python3

cat >conf <<'E'
resolver 127.0.0.1:1
server one { general { listen 127.0.0.1:0; mailroot one }; access { passwords accounts; clear-text-passwords yes }; domain one.example default }
E
cat >type.py <<'E'
import os, pty, select, signal, sys, termios, time
def run(answers):
    pid, fd = pty.fork()
    if pid == 0:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.execv(os.environ['SMTPD'], ['smtpd', '-f', 'conf', 'password', 'alice'])
    shown = b''
    def until(words):
        nonlocal shown
        while words not in shown:
            part = os.read(fd, 4096)
            if not part: raise SystemExit('it ended: %r' % shown)
            shown += part
    for question, answer in answers:
        until(question)
        while termios.tcgetattr(fd)[3] & termios.ECHO: time.sleep(0.01)
        shown = b''
        os.write(fd, answer)
    rest = b''
    echo = False
    while True:
        try:
            part = os.read(fd, 4096)
        except OSError:
            break
        if not part: break
        rest += part
        echo = bool(termios.tcgetattr(fd)[3] & termios.ECHO)
    try:
        echo = echo or bool(termios.tcgetattr(fd)[3] & termios.ECHO)
    except termios.error:
        pass
    status = os.waitpid(pid, 0)[1]
    return status, shown + rest, echo
status, shown, echo = run([(b'Password: ', b'pencil\n'), (b'Again: ', b'pencil\n')])
if status != 0 or b'pencil' in shown or not echo or b'is added' not in shown: sys.exit('asked twice: %r' % ((status, shown, echo),))
before = open('accounts').read()
status, shown, echo = run([(b'Password: ', b'pencil\n'), (b'Again: ', b'pencils\n')])
if os.WEXITSTATUS(status) != 65 or b'two passwords' not in shown or not echo: sys.exit('two passwords: %r' % ((status, shown, echo),))
status, shown, echo = run([(b'Password: ', b'penc\003')])
if os.WTERMSIG(status) != signal.SIGINT or not echo: sys.exit('interrupted: %r' % ((status, shown, echo),))
if open('accounts').read() != before: sys.exit('it was written')
E
export SMTPD
limit 60 python3 type.py || fail 'on a terminal'
