#!/bin/sh
# layers: calls go down, never up or sideways. Each file, from the top, and the files whose functions and variables it
# may use; read from the symbols of the objects. A file of the program that has no line here is a mistake, and so is a
# line that names a file above its own, or one that is not there.
layers='
	smtpd: console control count wizard password check why vserver relay dest spool config settings dns conn tls log sendmail process
	console: control operate vserver config conn log
	control: operate config conn log
	why: value reply resolve policy route config schema settings dns address log tls
	operate: vserver session relay dest outcome view count spool config message address disk log route
	count: vserver dest spool dns address log
	sendmail: check route session receive parameter policy spool view message config process dns address conn log
	vserver: session receive policy pickup watch relay dest expand drop outcome resolve spool journal config address conn disk log process view
	watch: spool message log outcome
	wizard: check spool config disk log process
	check: resolve schema route config value dns address conn disk log auth digest tls process
	session: resolve digest login auth names tls receive reply parameter policy drop spool journal message config settings address conn log proxy rdns turn relay
	login: auth reply conn address log
	password: auth config disk digest log
	receive: tls address config conn log message policy reply spool
	reply: address config conn journal log
	parameter: config address log
	turn: dest config address log relay conn
	rdns: dns address log
	proxy: address
	pickup: spool message log policy
	relay: hello dest outcome route spool report journal mime message config settings auth address conn tls log
	hello: outcome mime settings message auth digest log
	expand: dest outcome resolve spool policy message config log
	dest: outcome route config spool message log address
	drop: outcome spool route message config disk log policy names
	outcome: spool report message config disk log policy
	resolve: policy message config schema ldap ber address log
	spool: message config disk log
	report: message address log
	journal: settings address disk log
	mime: message address log
	view: route message config address log
	policy: message config names address log
	route: message config dns address conn log
	message: address log
	config: tls schema value settings address disk log names auth digest process
	schema: value settings ber log
	value: tls settings address log auth
	ldap: ber auth digest dns address conn tls log
	ber: log
	auth: digest address log
	names: address disk log
	process: address conn log
	settings: log
	dns: address conn log
	conn: tls digest address log
	tls: address log
	address: log
	digest: 
	disk: log
	log: 
'
. "${TEST:-$(dirname "$0")}/lib.sh"
need nm

# The symbols of each object, by the portable format: NAME TYPE ... The linker's U is what it uses, a capital otherwise
# what it gives to others.
for source in "$TOP"/*.c; do
	file=${source##*/} file=${file%.c}
	[ -f "$TOP/$file.o" ] || fail "$file.o is not there: make builds it"
	nm -P -g "$TOP/$file.o" >nm.out || fail "nm cannot read $file.o"
	awk -v file="$file" 'NF > 1 && $2 ~ /^[A-Z]$/ { print file, $2 == "U" ? "uses" : "gives", $1 }' nm.out
done >symbols || exit 1

echo "$layers" | awk NF >table
awk '
	FILENAME == "table" {
		file = $1; sub(/:$/, "", file)
		if (file in place) print "the table has two lines for " file
		place[file] = ++files; name[files] = file
		for (i = 2; i <= NF; i++) may[file, $i] = NR
		next
	}
	$2 == "gives" { home[$3] = $1 }
	$2 == "uses"  { uses[++n] = $1 " " $3 }
	{ built[$1] }
	END {
		for (file in built) if (!(file in place)) print file ".c has no line in the table"
		for (file in place) if (!(file in built)) print file ".c is in the table and is not there"
		for (pair in may) {
			split(pair, p, SUBSEP)
			if (!(p[2] in place) || place[p[2]] <= place[p[1]]) print "the table lets " p[1] " call up, to " p[2]
		}
		for (i = 1; i <= n; i++) {
			split(uses[i], u, " ")
			if (u[2] in home && home[u[2]] != u[1] && !((u[1], home[u[2]]) in may))
				print u[1] ".c uses " u[2] " of " home[u[2]] ".c"
			calls += u[2] in home
		}
		if (calls < 20) print "only " calls + 0 " uses were found: are these the right objects?"
	}' table symbols | sort >wrong
[ ! -s wrong ] || { cat wrong >&2; fail 'the layers are not kept'; }
ok "$(grep -c uses symbols) symbols"
