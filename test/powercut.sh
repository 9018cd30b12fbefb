#!/bin/sh
# powercut: 250 means it is on disk, even when the power goes. Runs when asked to, with POWERCUT=yes, for some 30 s.
#
# A virtual machine boots with a server and a fresh ext4 disk. It gets mail: one message alone, some pipelined, a large
# one, many by several sessions at once. The moment a certain 250 is read the power is cut: the machine is stopped and
# its disk copied, or it is killed. What it had in memory is gone either way. Each disk must then hold all that was
# answered with 250, whole, in Queue or Drop, and nothing torn there; and a server started on the last of them delivers
# the rest.
#
# Two controls show that this can fail: a server that syncs nothing, and one that syncs files but no folders, must lose
# mail.
#
# What this does not show: disks that say they have written and have not, other file systems. The machine is made by
# test/machine, which says where it gets its kernel from.
# shellcheck disable=SC2012,SC2016,SC2154
. "${TEST:-$(dirname "$0")}/lib.sh"
[ "${POWERCUT-}" = yes ] || { ok 'set POWERCUT=yes to run it'; exit 0; }

. "$TEST/machine"
need mke2fs e2fsck debugfs
own_nc
tools bulk

# --- the machine ---

machine virtio_ring virtio virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci virtio_blk failover net_failover \
	virtio_net crc16 crc32c_generic libcrc32c mbcache jbd2 ext4
mkdir guest/dev guest/proc guest/sys guest/disk

# The control is the same server, only that its syncs are ours: they do nothing, or with FILES=1 all they should but for
# folders.
cat >control.c <<'E'
#define _DEFAULT_SOURCE
#include <sys/stat.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

int control_fsync(int);
long control_syscall(long, ...);

int
control_fsync(int fd)
{
	struct stat st;

	return getenv("FILES") != NULL && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? fsync(fd) : 0;
}

long
control_syscall(long number, ...)
{
	va_list args;
	int fd;

	va_start(args, number);
	fd = va_arg(args, int);
	va_end(args);
	return getenv("FILES") != NULL ? syscall(number, fd) : 0;
}
E
build guest/smtpd "$TOP"/*.c
$compiler -std=c99 -c control.c || fail 'control.c does not compile'
build guest/control -Dfsync=control_fsync -Dfdatasync=control_fsync -Dsyscall=control_syscall "$TOP"/*.c control.o

cat >guest/smtpd.conf <<'E'
server powercut {
    general { listen 0.0.0.0:2525; hostname mail.example.org; mailroot root }
    domain example.org default { drop Drop }
}
E
cat >guest/init <<'E'
#!/bin/busybox sh
b=/bin/busybox
$b mount -t devtmpfs dev /dev
$b mount -t proc proc /proc
$b mount -t sysfs sys /sys
while read -r name; do $b insmod /modules/$name.ko; done </modules/order
$b ip link set lo up
$b ip addr add 10.0.2.15/24 dev eth0
$b ip link set eth0 up
$b mount -t ext4 /dev/vda /disk
cd /disk && exec $SERVER -f /smtpd.conf
E
chmod +x guest/init guest/smtpd guest/control
pack guest initramfs

# begin NAME VARIABLE=VALUE ...: with NAME.img as its disk. The variables are for init.
begin() {
	mkdir "$1"
	: >"$1/promised"
	mke2fs -q -F -t ext4 -E lazy_itable_init=0 "$1.img" 64M >/dev/null || fail 'mke2fs fails'
	guest=$1; shift
	boot "$guest" initramfs "$*" \
		-drive "if=none,id=disk,format=raw,cache=writeback,file=$guest.img" -device virtio-blk-pci,drive=disk
}

# cut NAME: the disk as the power leaves it, in NAME.img, and what was promised, in NAME.promised. Every thread must
# have stopped, so that none is writing; what was promised until then counts.
cut() {
	number=$(cat "$guest.pid")
	kill -s STOP "$number" || fail "the machine $guest is gone"
	wait_for "! grep -L '^State:.T' /proc/$number/task/*/status | grep -q ."
	grep '^promised' "$guest/promised" >"$1.promised"
	cp "$guest.img" "$1.img"
	kill -s CONT "$number"
}
# The same, for good.
kill_power() {
	end "$guest" KILL 5 || fail 'qemu survives KILL'
	grep '^promised' "$guest/promised" >"$1.promised"
	mv "$guest.img" "$1.img"
}

# --- the mail ---

# message NUMBER LINES: nearly as test/bulk has them.
message() {
	awk -v n="$1" -v lines="$2" 'BEGIN {
		printf "Subject: %d\r\n\r\n", n
		for (; i++ < lines;) printf "%d: line %d of %d\r\n", n, i, lines
	}'
}
by_data() { printf 'MAIL FROM:<a@client.test>\r\nRCPT TO:<u@example.org>\r\nDATA\r\n'; message "$@"; printf '.\r\n'; }
by_bdat() {
	message "$@" >chunk
	printf 'MAIL FROM:<a@client.test>\r\nRCPT TO:<u@example.org>\r\nBDAT %d LAST\r\n' "$(wc -c <chunk)"
	cat chunk
}
dialogue() { printf 'EHLO client.test\r\n'; "$@"; }
pipelined() { for i; do by_bdat "$i" 20; done; }

# send NUMBER COUNT COMMAND ...: says what is in the file `dialogue'. The COUNT messages in it are numbered from NUMBER;
# at the last one's 250 the command is run.
send() {
	first=$1 count=$2; shift 2
	limit 30 "$own" "$HOST" "$PORT" <dialogue | (
		i=0
		while read -r line; do
			case $line in
			'250 2.6.0 '*)
				echo "promised $((first + i))" >>"$guest/promised"
				i=$((i + 1))
				[ $i != "$count" ] || "$@" ;;
			[45]*)  fail "the server says: $line" ;;
			esac
		done
		[ $i = "$count" ] || fail "$i messages of $count were taken"
	) || exit 1
}

# --- what the disk has ---

# look NAME: what there is on the disk of that cut, in the folder NAME; what is missing of the promised, in NAME.lost.
look() {
	e2fsck -fy "$1.img" >"$1.fsck" 2>&1
	[ $? -le 1 ] || { cat "$1.fsck"; fail "$1: the file system is beyond repair"; }
	mkdir "$1"
	debugfs -R "rdump /root $1" "$1.img" 2>&1 | grep -v -e '^debugfs [0-9]' -e 'changing ownership' >"$1.debugfs"
	mkdir -p "$1/root/Pickup" "$1/root/SortTemp" "$1/root/Queue" "$1/root/Drop" "$1/root/Badmail"
	subjects "$1/root/Queue" "$1/root/Drop" >"$1.there"
	awk -v file="$1.there" 'BEGIN { while ((getline n < file) > 0) there[n] } !($2 in there) { print $2 }' "$1.promised" >"$1.lost"
	[ -s "$1.promised" ] || fail "$1: nothing was promised"
}

# audit NAME: as it must be.
audit() {
	look "$1"
	[ ! -s "$1.debugfs" ] || { sed 5q "$1.debugfs"; fail "$1: debugfs cannot read the disk"; }
	[ ! -s "$1.lost" ] || {
		cat "$1.fsck"; ls -lR "$1/root"
		fail "$1: of $(wc -l <"$1.promised") promised messages are lost: $(tr '\n' ' ' <"$1.lost")"
	}
	torn "$1/root/Queue" "$1/root/Drop" >"$1.torn"
	[ ! -s "$1.torn" ] || { sed 5q "$1.torn"; fail "$1: files are not whole"; }
	is "$(sort "$1.there" | uniq -d)" '' "$1: a message is there twice"
	is "$(ls -A "$1/root/Pickup" "$1/root/Badmail" | grep '\.eml')" '' "$1: there is something in Pickup or Badmail"
	is "$(ls -A "$1/root/Queue" "$1/root/Drop" | grep -v -e '^[^.]*\.eml$' -e ':$' -e '^$')" '' \
		"$1: odd names in Queue or Drop"
	ok "$1: promised $(wc -l <"$1.promised"), all there;" \
		"Drop $(ls "$1/root/Drop" | wc -l), Queue $(ls "$1/root/Queue" | wc -l), SortTemp $(ls "$1/root/SortTemp" | wc -l)"
}

# --- the power goes ---

begin real SERVER=/smtpd
begin nothing SERVER=/control
begin files SERVER=/control FILES=1

for control in nothing files; do
	on $control
	dialogue by_data 900001 20 >dialogue
	send 900001 1 kill_power "control-$control"
done

on real
dialogue by_data 900001 20 >dialogue
send 900001 1 cut alone
dialogue pipelined 900002 900003 900004 900005 900006 >dialogue
send 900002 5 cut pipelined
dialogue by_data 900007 40000 >dialogue
send 900007 1 cut large

awk 'BEGIN { while (i++ < 100000) print i, "a@client.test", "u@example.org" }' >list
spawn client "$SH" -c 'exec "$@" <list >>real/promised' client "$bulk" "$PORT"
for count in 40 150 300; do
	wait_for "[ \$(wc -l <real/promised) -ge $count ]" 60
	cut "stream-$count"
done
wait_for '[ $(wc -l <real/promised) -ge 450 ]' 60
kill_power stream-450
end client TERM 2 || end client KILL 2

! grep '^bulk: ' client.log || fail 'the client got a reply that does not belong'

for i in alone pipelined large stream-40 stream-150 stream-300 stream-450; do audit $i; done

for control in nothing files; do
	look "control-$control"
	[ -s "control-$control.lost" ] || fail "a server that syncs $control loses nothing: this test cannot fail"
	ok "control-$control: promised 1, lost 1; SortTemp $(ls "control-$control/root/SortTemp" | wc -l)"
done
is "$(subjects control-files/root/SortTemp)" 900001 'the file that it has synced is not there'

# --- the power is back ---

sed 's/listen 0.0.0.0:2525/listen 127.0.0.1:0/; s/mailroot root/mailroot stream-450\/root/' guest/smtpd.conf >back.conf
start_server back.conf
wait_for '[ -z "$(ls stream-450/root/Queue)" ]'
stop_server
subjects stream-450/root/Drop | sort >delivered
sort stream-450.there | cmp - delivered >&2 || fail 'a server started on what was left delivers something else'
is "$(torn stream-450/root/Drop)" '' 'then files are not whole'
is "$(ls -A stream-450/root/SortTemp | grep -v '^\.')" '' 'then something is left in SortTemp'
ok "a server started on the last disk has delivered all $(wc -l <delivered)"
