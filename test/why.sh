#!/bin/sh
# Goal: `smtpd why' says what the rules say: to the letter here, and the same as the server itself; without asking
# anybody; in 80 columns; and tells by its status.
. "${TEST:-$(dirname "$0")}/lib.sh"

cat >why.conf <<'END'
resolver 127.0.0.1:1; hosts known
server "my mail" {
    general  { listen 127.0.0.1:0; hostname mail.example.com; mailroot mail }
    access   { connect all-except 192.0.2.0/24 .spammer.example
               relay only 127.0.0.0/8 .friend.example }
    delivery { smart-host [192.0.2.25]:587 mx.isp.example; masquerade example.com; tls off; authenticate any me secret }
    domain example.com default { quota 1G }
    domain example.org alias
    domain *.partner.example remote { allow-relay yes; smart-host mx.partner.example; helo-only yes; authenticate plain us secret2 }
}
server two {
    general  { listen 127.0.0.1:0; mailroot two; hostname two.example }
    access   { relay only 192.0.2.1 }
    delivery { reverse-dns require; port 2525; smart-host a.example; direct-first yes; tls off }
    domain example.net default
}
END
(umask 077; echo x >secret; echo x >secret2)
why() { "$SMTPD" -f why.conf why "$@" >got 2>said; }
# wants STATUS WORDS: of the last one; its output is on standard input.
wants() { is $? "$1" "the status: $2"; cat >want; cmp -s want got || { diff want got >&2; fail "$2"; }; is "$(cat said)" '' "$2"; }


why me@example.com joe@other.example
wants 1 'what depends on the name' <<'END'
server my mail (why.conf:2)
  connect (why.conf:4)
      it takes the client's name to say whether the list names it
      (needs a reverse look-up, which is not done here: put the name behind
      the address)
  reverse-dns (default)
      nobody needs a name
  domain
      the domain is not ours
  allow-relay (default)
      not just anybody may send to this domain
  relay-authenticated (default)
      the client has not authenticated
  relay (why.conf:5)
      the list names the client
      250 2.1.5 <joe@other.example> recipient ok
  => depends on the client's name
server two (why.conf:11)
  connect (default)
      the list does not name the client
      220 two.example ESMTP smtpd
  reverse-dns (why.conf:14)
      it takes the client's name to say
      (needs a reverse look-up, which is not done here: put the name behind
      the address)
  domain
      the domain is not ours
  allow-relay (default)
      not just anybody may send to this domain
  relay-authenticated (default)
      the client has not authenticated
  relay (why.conf:13)
      the list does not name the client
      550 5.7.1 Unable to relay for <joe@other.example>
  => refused
END

# Who has no name at all is given as ''.
why me@example.com joe@other.example 127.0.0.1 ''
wants 0 'relayed by a smart host' <<'END'
server my mail (why.conf:2)
  connect (why.conf:4)
      the list does not name the client
      220 mail.example.com ESMTP smtpd
  reverse-dns (default)
      nobody needs a name
  domain
      the domain is not ours
  allow-relay (default)
      not just anybody may send to this domain
  relay-authenticated (default)
      the client has not authenticated
  relay (why.conf:5)
      the list names the client
      250 2.1.5 <joe@other.example> recipient ok
  smart-host (why.conf:6)
      would go to 192.0.2.25, port 587
      or, if that fails, where the MX of mx.isp.example leads, else to its own
      address, port 25
  tls (why.conf:6)
      in clear
  authenticate (why.conf:6)
      as me, whose password is in secret
  masquerade (why.conf:6)
      its sender's domain would become example.com
  => taken
server two (why.conf:11)
  connect (default)
      the list does not name the client
      220 two.example ESMTP smtpd
  reverse-dns (why.conf:14)
      the client has no name that leads back to it
      550 5.7.25 Your address has no name that leads back to it (PTR, and then
      A or AAAA)
  => refused
END

why '<>' you@example.org 10.0.0.1 x.spammer.example
wants 1 'who may not connect' <<'END'
server my mail (why.conf:2)
  connect (why.conf:4)
      the list names the client
      554 5.7.1 mail.example.com does not accept your connection
  => refused
server two (why.conf:11)
  connect (default)
      the list does not name the client
      220 two.example ESMTP smtpd
  reverse-dns (why.conf:14)
      the client has a name that leads back to it
  domain
      the domain is not ours
  allow-relay (default)
      not just anybody may send to this domain
  relay-authenticated (default)
      the client has not authenticated
  relay (why.conf:13)
      the list does not name the client
      550 5.7.1 Unable to relay for <you@example.org>
  => refused
END

why a@example.net you@mx.partner.example ::1 mail.friend.example
wants 0 'a domain with a smart host of its own' <<'END'
server my mail (why.conf:2)
  connect (why.conf:4)
      the list does not name the client
      220 mail.example.com ESMTP smtpd
  reverse-dns (default)
      nobody needs a name
  domain *.partner.example (why.conf:9)
      the domain is not ours
  allow-relay (why.conf:9)
      anybody may send to this domain
      250 2.1.5 <you@mx.partner.example> recipient ok
  smart-host (why.conf:9)
      would go where the MX of mx.partner.example leads, else to its own
      address, port 25
  tls (why.conf:6)
      in clear
  authenticate (why.conf:9)
      as us, whose password is in secret2
  helo-only (why.conf:9)
      would be sent without extensions
  => taken
server two (why.conf:11)
  connect (default)
      the list does not name the client
      220 two.example ESMTP smtpd
  reverse-dns (why.conf:14)
      the client has a name that leads back to it
  domain
      the domain is not ours
  allow-relay (default)
      not just anybody may send to this domain
  relay-authenticated (default)
      the client has not authenticated
  relay (why.conf:13)
      the list does not name the client
      550 5.7.1 Unable to relay for <you@mx.partner.example>
  => refused
END

why a@example.net 'b@[192.0.2.7]' 192.0.2.1 other.example
wants 0 'by its address' <<'END'
server my mail (why.conf:2)
  connect (why.conf:4)
      the list names the client
      554 5.7.1 mail.example.com does not accept your connection
  => refused
server two (why.conf:11)
  connect (default)
      the list does not name the client
      220 two.example ESMTP smtpd
  reverse-dns (why.conf:14)
      who stands in 'relay only' needs no name
  domain
      the domain is not ours
  allow-relay (default)
      not just anybody may send to this domain
  relay-authenticated (default)
      the client has not authenticated
  relay (why.conf:13)
      the list names the client
      250 2.1.5 <b@[192.0.2.7]> recipient ok
  direct-first (why.conf:14)
      would go to [192.0.2.7], port 2525
  tls (why.conf:14)
      in clear
  smart-host (why.conf:14)
      or, if the domain cannot be looked up, where the MX of a.example leads,
      else to its own address, port 2525
  tls (why.conf:14)
      in clear
  => taken
END

why me jones 127.0.0.1 localhost
wants 0 'to local domains, which complete an address' <<'END'
server my mail (why.conf:2)
  connect (why.conf:4)
      the list does not name the client
      220 mail.example.com ESMTP smtpd
  reverse-dns (default)
      nobody needs a name
  domain example.com (why.conf:7)
      the domain is ours
      250 2.1.5 <jones@example.com> recipient ok
  drop (default)
      would be delivered into mail/Drop
  quota (why.conf:7)
      would be answered 452 4.2.2 once that folder holds more than 1073741824
      octets
  => taken
server two (why.conf:11)
  connect (default)
      the list does not name the client
      220 two.example ESMTP smtpd
  reverse-dns (why.conf:14)
      the client has a name that leads back to it
  domain example.net (why.conf:15)
      the domain is ours
      250 2.1.5 <jones@example.net> recipient ok
  drop (default)
      would be delivered into two/Drop
  => taken
END

# --- what is held, and who is listed ---

echo jones >people
echo 'staff: jones' >aka; : >none; chmod 600 none
cat >hold.conf <<'END'
server hold {
    access   { relay only 127.0.0.1; passwords none; clear-text-passwords yes }
    delivery { smart-host [192.0.2.25]:587; direct-first yes }
    domain example.com default { aliases aka
        recipients people }
    domain a.example remote { hold yes }
    domain b.example remote { hold yes
        smart-host [192.0.2.1] }
    domain c.example remote { hold yes; hold-accounts ann bob }
}
END
# end_of RCPT: what is said of him from the domain on, but for TLS.
end_of() { "$SMTPD" -f hold.conf why '<>' "$1" 127.0.0.1 localhost >said 2>&1; sed '1,/nobody needs a name/d' said | awk '/^  [^ ]/ { tls = /^  tls / } !tls'; }
is "$(end_of q@a.example | tail -n 6)" '  hold (hold.conf:6)
      would wait until its host asks for it by ETRN
  smart-host (default)
      would then go where the MX of a.example leads, else to its own address,
      port 25
  => taken'
is "$(end_of q@b.example | tail -n 5)" '  hold (hold.conf:7)
      would wait until its host asks for it by ETRN
  smart-host (hold.conf:8)
      would then go to 192.0.2.1, port 25
  => taken'
is "$(end_of q@c.example | tail -n 3)" '  hold (hold.conf:9)
      would wait until one of these asks for it by ATRN: ann bob
  => taken'
is "$(end_of staff@example.com | head -n 1)" '  aliases (hold.conf:4)'
is "$(end_of x@example.com | head -n 2)" '  recipients (hold.conf:5)
      nobody has that name in our domains'

# --- 80 columns, whatever is asked ---

long=$(awk 'BEGIN { while (n++ < 62) printf "a"; for (n = 0; n < 3; n++) { printf n ? "." : "@"; while (m++ < 60) printf "b"; m = 0 } }')
why "$long" "$long"
awk 'length > 80 { exit 1 }' got || fail 'a line is longer than 80 columns'

# --- the same as the server says, which has no other rules ---

echo '127.0.0.1 localhost' >known
start_server why.conf
for to in jones@example.com jones@example.org joe@other.example joe@a.partner.example 'joe@[192.0.2.1]' jones; do
	for name in 'my mail' two; do
		use "$name"
		printf '%s\n' 'EHLO x' 'MAIL FROM:<me@example.com>' "RCPT TO:<$to>" QUIT | say | tail -n 2 | sed '$d' >heard
		grep -q '^[25]' heard || fail "no answer to $to: $(cat heard)"
		why me@example.com "$to" 127.0.0.1 localhost
		awk -v name="server $name " 'index($0, name) == 1 { on = 1; next } /^server/ { on = 0 } on && /^      [2-5][0-9][0-9] / { last = $0 }
			END { sub(/^ */, "", last); print last }' got >told
		is "$(cat told)" "$(cat heard)" "$name, to $to"
	done
done
stop_server

# --- what cannot be asked ---

bad() { want=$1 words=$2; shift 2; why "$@"; is $? "$want" "status of $*"; grep -q "$words" said || { cat said >&2; fail "words about $*"; }; is "$(cat got)" '' "$*"; }
bad 64 'why wants FROM RCPT'
bad 64 'why wants FROM RCPT' a@example.com
bad 64 'why wants FROM RCPT' a@example.com b@example.com 127.0.0.1 name account more
bad 65 'is no address of a client' a@example.com b@example.com 127.0.0.1:25
bad 65 'is no address of a client' a@example.com b@example.com localhost
bad 65 "'a@b@c' is no sender's address" a@b@c b@example.com
bad 65 "'' is no sender's address, nor <>, the null sender" '' b@example.com
bad 65 "'' is no recipient's address" a@example.com ''
bad 65 "'b@' is no recipient's address" a@example.com b@
echo 'server x { }' >why.conf
bad 78 'no default domain' a@example.com b@example.com
ok
