#!/bin/sh
# initramfs: the server is the first process of a machine that has nothing else. Runs when asked to, with INITRAMFS=yes,
# for some 20 s.
#
# bare: the server is /init, beside it its configuration and a message in Pickup; no /etc, no /proc, no device but the
# console. The message is delivered.
# busy: busybox brings up the network and a syslogd, and beside them the server, which gives up root in a jail. Mail
# comes from inside by busybox's nc, and from outside; it is answered 250 and stands in Drop. syslog has all that was to
# be said, and TERM ends it in order: it is the first process of a namespace, and such a one has no default for any signal.
. "${TEST:-$(dirname "$0")}/lib.sh"
[ "${INITRAMFS-}" = yes ] || { ok 'set INITRAMFS=yes to run it'; exit 0; }
. "$TEST/machine"

own_nc
machine virtio_ring virtio virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci failover net_failover virtio_net

# --- bare ---

mkdir -p bare/mail/Pickup
build bare/init "$TOP"/*.c
printf 'From: a@example.org\nTo: b@example.org\nSubject: the first\n\nHi.\n' >bare/mail/Pickup/note
cat >bare/smtpd.conf <<'E'
server bare {
    general { listen 0.0.0.0:2525; hostname mail.example.org; mailroot mail }
    domain example.org default
}
E
pack bare bare.cpio
boot bare bare.cpio 'rdinit=/init -- -f /smtpd.conf'

# --- busy ---

mkdir -p guest/jail guest/dev guest/proc
cp bare/init guest/smtpd
cat >guest/smtpd.conf <<'E'
user 1000:1001
chroot /jail
server busy {
    general { listen 0.0.0.0:2525; hostname mail.example.org; mailroot mail }
    domain example.org default
}
E
cat >guest/init <<'E'
#!/bin/busybox sh
b=/bin/busybox
$b mount -t devtmpfs dev /dev
$b mount -t proc proc /proc
while read -r name; do $b insmod /modules/$name.ko; done </modules/order
$b ip link set lo up
$b ip addr add 10.0.2.15/24 dev eth0
$b ip link set eth0 up
$b syslogd -O /messages
( $b unshare --fork --pid /smtpd -s -f /smtpd.conf; echo "ended with $?" >/ended ) &
until $b nc 127.0.0.1 2525 </dev/null >/dev/null; do $b usleep 200000; done
$b printf '%s\r\n' 'HELO inside' 'MAIL FROM:<a@example.com>' 'RCPT TO:<b@example.org>' DATA 'Subject: inside' '' . QUIT |
	$b nc 127.0.0.1 2525
echo 'listening on (says the script)'
until [ $($b ls /jail/mail/Drop | $b wc -l) = 2 ]; do $b usleep 200000; done
$b ls -ln /jail/mail/Drop
$b cat /jail/mail/Drop/*
$b killall -TERM smtpd
until [ -s /ended ]; do $b usleep 200000; done
$b cat /messages /ended
$b reboot -f
E
chmod +x guest/init
pack guest guest.cpio
boot busy guest.cpio rdinit=/init

said() { wait_for "tr -d '\r' <$1.console.log | grep -q '$2'" 50; }
on bare
said bare '^warning: no /dev/urandom; numbers will be guessable$'
said bare '^[0-9T-]*-[0-9a-f]* received server="bare" from=<a@example.org> to=<b@example.org> size=[0-9]* with=pickup$'
said bare '^[0-9T-]*-[0-9a-f]* delivered folder=Drop to=<b@example.org>$'
[ ! -e bare.rc ] || fail 'the first machine has ended'
end bare KILL 5 || fail 'qemu survives KILL'
ok 'the server alone: a message from Pickup is delivered'

on busy
printf '%s\n' 'HELO outside' 'MAIL FROM:<a@example.com>' 'RCPT TO:<b@example.org>' DATA 'Subject: outside' '' . QUIT |
	LIMIT=30 say >got
grep -q '^250 2.6.0 .* queued$' got || fail "from outside: $(cat got)"
wait_for '[ -e busy.rc ]' 50
tr -d '\r' <busy.console.log >busy.console
is "$(grep -c '^250 2.6.0 .* queued$' busy.console)" 1 'mail from inside'
is "$(grep -c '^Subject: inside$' busy.console) $(grep -c '^Subject: outside$' busy.console)" '1 1' 'the mail in Drop'
is "$(grep -c '^-rw-r----- *1 1000 *1001 ' busy.console)" 2 'whose mail it is'
for i in 'mail.notice smtpd\[1\]: smtpd: running as user 1000, group 1001' 'mail.info smtpd\[1\]: .* received server="busy"' \
	'mail.notice smtpd\[1\]: smtpd: shutting down'
do
	grep -q "$i" busy.console || fail "syslog has not: $i"
done
grep -q '^ended with 0$' busy.console || fail 'it does not end in order'
! grep -q '^smtpd: ' busy.console || fail 'with syslog it speaks to the console too'
ok 'busybox beside it: mail from inside and outside, a jail, syslog, TERM'
