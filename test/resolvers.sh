#!/bin/sh
# resolvers: the resolver (dns.c) and the name servers of others, on loopback, with a zone of ours. nsd has the zone;
# unbound asks nsd as it would the world's servers, and dnsmasq asks unbound. Each must give the same answers: those of
# the zone. Who is not installed is left out, and the test is skipped when it is over.
# shellcheck disable=SC2016,SC2046
. "${TEST:-$(dirname "$0")}/lib.sh"
[ -x "$TEST/ask" ] || skip 'test/ask is not built'
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

# --- the zone ---

awk 'BEGIN {
	print "$ORIGIN zone.test.\n$TTL 600"
	print "@ SOA ns hostmaster 1 3600 600 86400 120\n@ NS ns\n@ A 192.0.2.80\n@ MX 20 mx2\n@ MX 10 mx1"
	print "ns A 127.0.0.1\nmx1 A 192.0.2.1\nmx1 AAAA 2001:db8::1\nmx2 5 A 192.0.2.2"
	print "null MX 0 .\nno-mx A 192.0.2.3\nsix AAAA 2001:db8::3\nMixed-Case A 192.0.2.4\na.deep.below A 192.0.2.5"
	print "alias CNAME mx1\nchain CNAME alias\nmail CNAME @\ngone CNAME nothing\n*.star MX 5 mx1\n*.star A 192.0.2.6"
	print "text TXT \"no address\"\n_odd-name_ A 192.0.2.7"
	for (i = 1; i <= 60; i++) {
		print "big A 192.0.3." i
		print "big AAAA 2001:db8:1:2:3:4:5:" i
		print "big MX " i " a-mail-exchange-of-a-long-name-number-" i ".big"
	}
	for (i = 1; i <= 250; i++) print "huge MX 10 a-mail-exchange-of-a-long-name-number-" i "-from-elsewhere.huge" i
}' >zone.test
awk 'BEGIN {
	print "$ORIGIN 2.0.192.in-addr.arpa.\n$TTL 600"
	print "@ SOA ns.zone.test. hostmaster.zone.test. 1 3600 600 86400 120\n@ NS ns.zone.test."
	print "1 PTR mx1.zone.test.\n2 CNAME 2.0/25\n2.0/25 PTR mx2.zone.test."
}' >reverse.test

# NAME TYPE and what is said, records in any order.
cat >want <<'END'
zone.test A found 192.0.2.80
zone.test MX found 10 mx1.zone.test, 20 mx2.zone.test
zone.test AAAA nodata
MX1.Zone.TEST A found 192.0.2.1
mx1.zone.test AAAA found 2001:db8::1
mx1.zone.test MX nodata
mx2.zone.test A found 192.0.2.2
null.zone.test MX found 0 .
no-mx.zone.test MX nodata
no-mx.zone.test A found 192.0.2.3
six.zone.test A nodata
mixed-case.zone.test A found 192.0.2.4
below.zone.test A nodata
deep.below.zone.test MX nodata
alias.zone.test A found 192.0.2.1
chain.zone.test A found 192.0.2.1
chain.zone.test AAAA found 2001:db8::1
chain.zone.test MX nodata
mail.zone.test MX found 10 mx1.zone.test, 20 mx2.zone.test
gone.zone.test A nxdomain
gone.zone.test MX nxdomain
x.y.star.zone.test MX found 5 mx1.zone.test
x.star.zone.test A found 192.0.2.6
x.star.zone.test AAAA nodata
text.zone.test A nodata
_odd-name_.zone.test A found 192.0.2.7
no.zone.test A nxdomain
no.zone.test MX nxdomain
no.such.zone.test AAAA nxdomain
1.2.0.192.in-addr.arpa PTR found mx1.zone.test
2.2.0.192.in-addr.arpa PTR found mx2.zone.test
3.2.0.192.in-addr.arpa PTR nxdomain
END
cut -d ' ' -f 1,2 want >asked

# --- the servers ---

me=$(id -un)
port=$((20000 + $$ % 10000))

# serves NAME COMMAND ...: until it answers on $port; or it has ended, as when somebody else has the port.
serves() {
	spawn "$@"
	poll "[ -e $1.rc ] || '$TEST/ask' -x 8 -s 127.0.0.1:$port zone.test A 2>/dev/null | grep -q found" &&
		[ ! -e "$1.rc" ]
}

# On the first of a few ports where it can.
start() {
	for attempt in 1 2 3 4 5; do
		port=$((port + 7))
		! "start_$1" || return 0
		[ -e "$1.rc" ] || end "$1" TERM 5
	done
	fail "$1 does not start"
}

start_nsd() {
	cat >nsd.conf <<-END
	server:
	    ip-address: 127.0.0.1
	    port: $port
	    username: "$me"
	    zonesdir: "$T"
	    database: ""
	    pidfile: ""
	    zonelistfile: "$T/nsd.zones"
	    xfrdfile: "$T/nsd.xfrd"
	    xfrdir: "$T"
	    server-count: 1
	    rrl-ratelimit: 0
	remote-control:
	    control-enable: no
	zone:
	    name: "zone.test"
	    zonefile: "zone.test"
	zone:
	    name: "2.0.192.in-addr.arpa"
	    zonefile: "reverse.test"
	END
	serves nsd nsd -d -c "$T/nsd.conf"
}

start_unbound() {
	cat >unbound.conf <<-END
	server:
	    interface: 127.0.0.1
	    port: $port
	    username: ""
	    chroot: ""
	    directory: "$T"
	    pidfile: ""
	    use-syslog: no
	    do-daemonize: no
	    do-not-query-localhost: no
	    do-ip6: no
	    num-threads: 1
	    module-config: "iterator"
	    local-zone: "test." nodefault
	    local-zone: "2.0.192.in-addr.arpa." nodefault
	remote-control:
	    control-enable: no
	stub-zone:
	    name: "zone.test"
	    stub-addr: 127.0.0.1@$nsd
	stub-zone:
	    name: "2.0.192.in-addr.arpa"
	    stub-addr: 127.0.0.1@$nsd
	END
	serves unbound unbound -d -c "$T/unbound.conf"
}

start_dnsmasq() {
	: >dnsmasq.conf
	serves dnsmasq dnsmasq -k -C "$T/dnsmasq.conf" -p "$port" -x "$T/dnsmasq.own" -u "$me" -R -h \
		-S "127.0.0.1#$unbound" -a 127.0.0.1 -z --log-facility=-
}

# --- what they say ---

# said OUT ARG ...: a line for each question, as in `want', records sorted.
said() {
	out=$1; shift
	limit ${LIMIT:-30} "$TEST/ask" "$@" >"$out.raw" || fail "ask failed, or took too long: $*"
	awk '
		function told(    i, j, s) {
			for (i = 2; i <= n; i++)
				for (j = i; j > 1 && (r[j] "") < (r[j - 1] ""); j--) { s = r[j]; r[j] = r[j - 1]; r[j - 1] = s }
			for (i = 1; i <= n; i++) line = line (i > 1 ? ", " : " ") r[i]
			if (line != "") print line
			n = 0
		}
		/^[^ ]/      { told(); line = $0; next }
		$1 != "ttl"  { sub(/^ */, ""); r[++n] = $0 }
		END          { told() }' "$out.raw" >"$out"
}

check() {
	said "$1.got" -s "127.0.0.1:$port" $(cat asked)
	diff want "$1.got" >&2 || fail "what $1 says"
	said "$1.big" -s "127.0.0.1:$port" big.zone.test A big.zone.test AAAA big.zone.test MX huge.zone.test MX
	awk -F , 'NF < 60 || !/ found / { bad = 1 } END { exit bad || NR != 4 }' "$1.big" || fail "big answers of $1"
	said "$1.bulk" -s "127.0.0.1:$port" -n 300 -j 50 %d.star.zone.test MX %d.no.zone.test A chain.zone.test A
	is "$(grep -c 'star.*found 5 mx1' "$1.bulk") $(grep -c 'no.*nxdomain' "$1.bulk") $(grep -c 'chain.*found' "$1.bulk")" \
		'300 300 300' "$1, many at a time"
	# How long an answer holds: of a record with a TTL of its own, of no name, and of no record.
	is "$(awk '/^[^ ]/ { k = $1 " " $2 } $1 == "ttl" { t[k] = $2 } END {
		own = t["mx2.zone.test A"]; name = t["no.zone.test A"]; record = t["six.zone.test A"]
		print (own > 0 && own <= 5) (name > 100 && name <= 120) (record > 100 && record <= 120) }' "$1.got.raw")" 111 \
		"how long the answers of $1 hold"
}

lacks=''
for each in nsd unbound dnsmasq; do
	command -v "$each" >/dev/null || { lacks=$each; break; }		# the next would ask it
	start "$each"
	eval "$each=$port"
	check "$each"
done
[ -z "$lacks" ] || skip "$lacks is not installed"
ok
