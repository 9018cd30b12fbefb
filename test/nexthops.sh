#!/bin/sh
# nexthops: we relay to Postfix, Exim, OpenSMTPD and smtp-sink; what arrives there is what was sent, octet for octet
# behind what each adds in front; and what they refuse, or cannot take, is bounced to its sender, who is local here.
# Some of it depends on what they offer: SMTPUTF8 is relayed or bounced, a report of success is asked of the next hop or
# made here, a message larger than its SIZE is not even begun, and 8-bit text is made 7-bit where 8BITMIME is not known;
# it is returned when that cannot be done.
#
# test/peers sets them up, and says how to get them. It takes root; and the test is skipped if one of them is missing,
# but when it is over.
# shellcheck disable=SC2016,SC2059
. "${TEST:-$(dirname "$0")}/lib.sh"
. "$TEST/peers"
hop_can || skip 'to set up other mail servers takes root (and Linux)'

hops='' missing=''
for hop in postfix exim opensmtpd sink bare; do
	if hop_is_there $hop; then hops="$hops $hop"; else missing="$missing $hop"; fi
done
[ -n "$hops" ] || skip "not installed:$missing"

# --- the messages: letters/KEY ---

mkdir letters arrived
letter() {
	{ printf 'X-Sent: %s\nFrom: Smith <s@here.test>\nTo: Jones <u@hop.test>\nSubject: %s\n' "$1" "${2-$1}"; cat; } >"letters/$1"
}
dated='Date: Tue, 1 Apr 2025 10:00:00 +0000\nMessage-ID: <%s@here.test>\n\n'
repeat() { awk -v n="$1" -v text="$2" 'BEGIN { while (n-- > 0) printf "%s", text }'; }

printf "${dated}Hi.\n" plain                                              | letter plain
printf "${dated}.\n..\n.x\nx.\n\n...\n\n." dots                           | letter dots
{ printf "$dated" long; repeat 998 x; echo; repeat 99 '0123456789'; echo; } | letter long
{ printf "$dated" longer; repeat 5000 x; printf '\n.\n'; }                 | letter longer
{
	printf 'MIME-Version: 1.0\nContent-Type: text/plain; charset=iso-8859-1\nContent-Transfer-Encoding: 8bit\n'
	printf "$dated" eight
	awk 'BEGIN { for (i = 128; i < 256; i++) printf "%c%s", i, i % 16 == 15 ? "\n" : "" }'
} | letter eight
printf "${dated}No charset is known for the Subject.\n" header           | letter header "$(printf 'gr\374n')"
printf "${dated}Nobody hears of this.\n" null                             | letter null
printf "${dated}To many.\n" many                                          | letter many
printf "X-Greeting: Gr\303\274\303\237e\n${dated}Gr\303\274\303\237e.\n" utf8 | letter utf8
printf "${dated}Did it arrive?\n" success                                 | letter success
{ printf "$dated" large; repeat 4000 'fifty octets, and there are many of these lines...\n'; } | letter large
for i in letters/*; do [ -z "$(tail -c 1 "$i")" ] || echo >>"$i"; done

# One dialogue for all of them. FROM and TO are the words behind MAIL and RCPT.
send() {        # KEY FROM TO ...
	key=$1; shift
	printf 'MAIL FROM:%s\r\n' "$1"; shift
	printf 'RCPT TO:%s\r\n' "$@"
	printf 'DATA\r\n'
	awk '{ sub(/^\./, ".."); printf "%s\r\n", $0 }' "letters/$key"
	printf '.\r\n'
}
{
	printf 'EHLO client.test\r\n'
	for i in plain dots long longer; do send $i '<s@here.test>' '<u@hop.test>'; done
	for i in eight header; do send $i '<s@here.test> BODY=8BITMIME' '<u@hop.test>'; done
	send null '<>' '<u@hop.test>'
	send many '<s@here.test>' '<u@hop.test>' '<v@hop.test>' '<refused@hop.test>' '<w@hop.test>'
	send utf8 '<s@here.test> BODY=8BITMIME SMTPUTF8' '<ü@hop.test>'
	send success '<s@here.test> RET=HDRS ENVID=QQ+2B314159' '<u@hop.test> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;Jones+2Bx@other.test'
	send large '<s@here.test> RET=HDRS' '<u@hop.test>'
	printf 'QUIT\r\n'
} >dialogue

# --- everybody is there ---

for hop in $hops; do
	cat <<-END
	server $hop {
	    general { listen 127.0.0.1:0; hostname $hop.here.test; mailroot $hop/root }
	    access { relay only 127.0.0.0/8 }
	    delivery { smart-host [$HOP]:$(hop_port $hop); retry 2s; glitch-retry 2s 30 }
	    domain here.test default
	}
	END
	mkdir $hop
done >hops.conf
start_server hops.conf
for hop in $hops; do
	use $hop
	BACK=$PORT
	hop $hop
	talk <dialogue | tr -d '\r' >$hop/answers
	is "$(grep -c '^250 2.6.0' $hop/answers) $(tail -n 1 $hop/answers)" \
		"11 221 2.0.0 $hop.here.test closing the channel" "$hop: what we took"
done

# --- what must become of them ---

# arrives KEY TIMES: at $hop, as it was sent, behind nothing but what we and the hop wrote.
arrives() {
	poll '[ "$(grep -l "^X-Sent: '$1'$" $hop/mail/new/* 2>/dev/null | wc -l)" -ge '$2' ]' 60 || fail "$hop: $1 has not arrived"
	grep -l "^X-Sent: $1\$" $hop/mail/new/* >files
	is "$(wc -l <files | tr -d ' ')" "$2" "$hop: how often $1 arrives"
	while read -r file; do
		sed -n '/^X-Sent: /,$p' "$file" >got
		# smtp-sink ends each with one line more.
		case $hop in sink | bare) sed '$d' got >got.new; mv got.new got ;; esac
		cmp got letters/$1 >&2 || fail "$hop: $1 is not what was sent"
		sed '/^X-Sent: /,$d' "$file" >head
		like "$(tr '\n' ' ' <head)" \
			"*by hop.test *Received: from client.test (\[127.0.0.1\]) 	by $hop.here.test (smtpd) with *SMTP id * 	*" \
			"$hop: what stands before $1"
		# OpenSMTPD writes no Return-Path for a null sender.
		case $hop$1 in sink* | bare* | opensmtpdnull) want=2:0:0 ;; *) want=2:1:0 ;; esac
		is "$(grep -c '^Received: ' head):$(grep -c -i '^Return-Path: ' head):$(grep -c '^x-' head)" $want "$hop: the fields before $1"
	done <files
}
# eight arrives in 7 bits, and nothing is different but the encoding. Who can decode it finds the text that it was.
converted() {
	poll 'file=$(grep -l "^X-Sent: eight$" $hop/mail/new/* 2>/dev/null)' 60 || fail "$hop: eight has not arrived"
	sed -n '/^X-Sent: /,$p' "$file" | sed '$d' >got
	{
		sed '/^$/q; s/8bit$/quoted-printable/' letters/eight
		awk 'BEGIN { for (i = 128; i < 256; i++) printf "=%02X%s", i, i % 16 == 15 ? "\n" : "" }'
	} >want
	cmp got want >&2 || fail "$hop: eight is not what was sent, in 7 bits"
	command -v python3 >/dev/null || return 0
	python3 -c 'import email, sys; m = [email.message_from_binary_file(open(f, "rb")) for f in sys.argv[1:]]
sys.exit(m[0].get_payload(decode=True) != m[1].get_payload(decode=True))' got letters/eight || fail "$hop: eight is not decoded"
}
# told KEY WHAT ...: there is one report about it in Drop, with these lines; it is put into the file `report'.
told() {
	poll 'report=$(grep -l "^X-Sent: '$1'" $hop/root/Drop/*.eml 2>/dev/null)' 60 || fail "$hop: no report about $1"
	tr -d '\r' <"$report" >report || fail "$hop: not one report about $1"
	is "$(sed -n '/^Return-Path/q; /^x-[a-z]*: /p' report)" 'x-sender: <>
x-receiver: s@here.test' "$hop: whom the report about $1 is for"
	key=$1; shift
	for what; do
		grep -q -i -e "$what" report || { cat report >&2; fail "$hop: the report about $key says nothing like $what"; }
	done
}

for hop in $hops; do
	for key in plain dots long null; do arrives $key 1; done
	case $hop in
	sink | bare)    want='^X-Mail-Args: <>$' ;;
	opensmtpd)      want=^ ;;
	*)              want='^Return-Path: <>$' ;;
	esac
	grep -q -i "$want" $(grep -l '^X-Sent: null$' $hop/mail/new/*) || fail "$hop: a null sender became another one"
	arrives longer 1
	case $hop in
	bare)
		converted
		told header '^Action: failed' '^Status: 5\.6\.3'
		;;
	*)      for key in eight header; do arrives $key 1; done ;;
	esac
	case $hop in
	sink | bare) arrives many 1 ;;
	*)
		arrives many 3
		told many '^Final-Recipient: rfc822; *refused@hop.test' '^Action: failed' '^Status: 5\.' '^Diagnostic-Code: smtp; *550 '
		! grep -q 'Final-Recipient:.*[uvw]@' report || fail "$hop: those who got it are in the report"
		told large '^Final-Recipient: rfc822; *u@hop.test' '^Action: failed' '^Status: 5\.3\.4'
		;;
	esac
	case $hop in
	postfix | exim) arrives utf8 1 ;;
	bare) told utf8 '^Action: failed' '^Status: 5\.6\.[37]' ;;         # it knows neither SMTPUTF8 nor 8BITMIME
	*) told utf8 '^Action: failed' '^Status: 5\.6\.7' ;;
	esac
	arrives success 1
	case $hop in
	sink)   ;;
	exim | opensmtpd) told success '^Action: delivered' '^Status: 2\.' ;;
	*)      # Here it is the next hop that tells; or we, for it knows no DSN.
		case $hop in postfix) action=delivered ;; bare) action=relayed ;; esac
		told success "^Action: $action" '^Status: 2\.' '^Original-Envelope-Id: QQ+314159' \
			'^Original-Recipient: rfc822; *Jones+x@other.test'
		;;
	esac
	ok "$hop"
done

# --- what they saw of us ---

for hop in $hops; do
	case $hop in postfix | exim) log=$hop/log/main ;; *) log=$hop.log ;; esac
	! grep -i 'too big\|too large\|exceeds' $log >&2 || fail "$hop: we tried to send what is larger than its SIZE"
	file=$(grep -l '^X-Sent: success$' $hop/mail/new/* | sed 1q)
	case $hop in
	postfix)
		is "$(grep -c 'postfix/smtpd.*lost connection' postfix/log/main)" 0 'connections that we did not end with QUIT'
		;;
	sink)
		grep -q '^X-Mail-Args: <s@here.test>.* RET=HDRS' "$file" && grep -q '^X-Mail-Args: .* ENVID=QQ+2B314159' "$file" &&
		grep -q '^X-Rcpt-Args: <u@hop.test>.* NOTIFY=SUCCESS,FAILURE' "$file" &&
		grep -q '^X-Rcpt-Args: .* ORCPT=rfc822;Jones+2Bx@other.test' "$file" || { cat "$file" >&2; fail 'sink: parameters of DSN'; }
		grep -q '^X-Mail-Args: <s@here.test>.* BODY=8BITMIME' $(grep -l '^X-Sent: eight' $hop/mail/new/*) ||
			fail 'sink: no BODY=8BITMIME'
		;;
	bare)
		is "$(sed -n 's/^X-\(Mail\|Rcpt\)-Args: //p' "$file" | tr '\n' '|')" '<s@here.test>|<u@hop.test>|' \
			'bare: parameters that it does not know'
		;;
	esac
	wait_for '[ -z "$(messages $hop/root/Queue)" ]'
	is "$(messages $hop/root/Badmail)" '' "$hop: what is in Badmail"
	hop_ends $hop
done
stop_server
[ -z "$missing" ] || skip "not installed:$missing; the others passed"
