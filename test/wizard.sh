#!/bin/sh
# Goal: new-server and new-domain add a block to the configuration, and nothing else happens to it.
# - from nothing: the file, its folders; started, it takes mail and delivers it;
# - what is not on the command line is asked for, what is wrong is asked again; on the command line it ends with 65;
# - names with quotes, backslashes and blanks; defaults that are free; files with and without a last line's end;
# - all octets stay, in included files too; links stay links, modes and owners are kept;
# - nothing is written after a mistake, the end of the input, a change by somebody else, a failure of the disk.
# shellcheck disable=SC2015,SC2016
. "${TEST:-$(dirname "$0")}/lib.sh"

# wizard STATUS ARG ...: with its standard input, out and err are what it said.
wizard() {
	want=$1; shift
	"$SMTPD" $ME "$@" >out 2>err; got=$?
	[ $got = "$want" ] || { cat out err >&2; fail "status $got, not $want: $*"; }
}
says() { grep -qF -- "$1" err || { cat err >&2; fail "it does not say: $1"; }; }
# same FILE WANT WHAT
same() { cmp -s "$1" "$2" || { diff "$2" "$1" >&2; fail "$3"; }; }
# untouched: the configuration is that of `before', and nothing lies beside it.
keep() { cp -p smtpd.conf before; }
untouched() { same smtpd.conf before "it was written: $*"; [ ! -e smtpd.conf.new ] || fail "left something behind: $*"; }
# added LINE: the configuration is `before' and this line.
added() { grep -vxF -- "$1" smtpd.conf >rest; grep -qxF -- "$1" smtpd.conf || { cat smtpd.conf >&2; fail "not there: $1"; }; same rest before "more than: $1"; }

# --- from nothing ---

printf '%s\n' 'first one' 127.0.0.1:0 here example.org | wizard 0 new-server
cat >want <<'E'
# smtpd.conf - see smtpd.conf(5); 'smtpd explain' prints every setting.

server "first one" {
    general {
        listen          127.0.0.1:0
        mailroot        here
    }
    domain example.org default
}
E
same smtpd.conf want 'the first server'
is "$(ls here | tr '\n' ' ')" 'Badmail Drop Pickup Queue SortTemp ' 'its folders'
like "$(cat err)" 'Name of the virtual server \[Default SMTP Virtual Server\]: Address and port to listen on \[127.0.0.1:2*\]: Home directory, of its folders \[mailroot\]: Default domain \[*\]: ' 'the questions'
[ "$(id -u)" != 0 ] || user=' -u USER'
is "$(sed 1d out)" "A running server takes it up by: smtpd -f smtpd.conf reload
One is started by: smtpd -f smtpd.conf${user-}" 'what to do next'

{ echo 'resolver 127.0.0.1:1'; cat smtpd.conf; } >started.conf
start_server started.conf
printf '%s\n' 'HELO c' 'MAIL FROM:<>' 'RCPT TO:<u@example.org>' DATA 'Subject: x' '' . QUIT | say | grep -q '^250 2.6.0' ||
	fail 'no mail is taken'
is "$(ls here/Drop | wc -l | tr -d ' ')" 1 'mail that is delivered'
wizard 65 new-server another 127.0.0.1:0 here
says "mailroot 'here' is server \"first one\"'s already"
wizard 65 -f elsewhere.conf new-server another 127.0.0.1:0 here
says "another smtpd is using 'here'"
stop_server
[ ! -e elsewhere.conf ] || fail 'a file was made'

# --- names, defaults, the order of words ---

wizard 0 new-server -f smtpd.conf 'a "b" \c{;#' 127.0.0.1:0 'two words' A.example
cat >>want <<'E'

server "a \"b\" \\c{;#" {
    general {
        listen          127.0.0.1:0
        mailroot        "two words"
    }
    domain A.example default
}
E
same smtpd.conf want 'the second server'
[ -d 'two words/Queue' ] || fail 'the second has no folders'
wizard 0 -f smtpd.conf new-server '' '' ''  x.example
wizard 0 new-server '' '' mailroot/below -f smtpd.conf x.example
is "$(grep -cx 'server "Default SMTP Virtual Server" {' smtpd.conf) $(grep -cx 'server "SMTP Virtual Server #2" {' smtpd.conf)" '1 1' 'names by default'
is "$(sed -n 's/^ *listen *127.0.0.1:2[56][0-9][0-9]$/free/p' smtpd.conf | tr '\n' ' ')" 'free free ' 'addresses by default'
"$SMTPD" -n -f smtpd.conf || fail 'four servers are wrong'
printf 'resolver 127.0.0.1:1  # and no end of line' >bare.conf
wizard 0 -f bare.conf new-server bare 127.0.0.1:0 bare bare.example
is "$(sed -n 1,4p bare.conf | tr '\n' '|')" 'resolver 127.0.0.1:1  # and no end of line||server bare {|    general {|' 'a file without server'

# --- what is wrong ---

cat >smtpd.conf <<'E'
server one { # with
  general { listen 127.0.0.1:0; hostname h.example; mailroot "one" }	
    domain one.example default;  domain   two.example alias
	# a remark }
  }
# the end
E
own_nc
spawn taker "$own" -l 127.0.0.1 0
wait_for "grep -q 'listening on' taker.log"
taken=$(sed -n 's/.*listening on //p' taker.log)
sed "s/127.0.0.1:0/127.0.0.1:0 127.0.0.2:2599/" smtpd.conf >smtpd.conf.two; mv smtpd.conf.two smtpd.conf
mkdir -p one/Queue; : >plain
keep
wrong() { what=$1; shift; wizard 65 "$@"; says "$what"; untouched "$@"; }
wrong 'server "one" stands on line 1 already'             new-server one
wrong "listen: '1.2.3.4' is no address and port"          new-server x 1.2.3.4
wrong "listen: 'x' is no address and port"                new-server x x
wrong 'cannot listen on 0.0.0.0:2599: smtpd.conf:2 does'  new-server x 0.0.0.0:2599
wrong "$taken is in use by another program"               new-server x "$taken"
wrong 'is no address of this machine'                     new-server x 192.0.2.1:0
wrong "mailroot 'one' is server \"one\"'s already"        new-server x 127.0.0.1:0 one
wrong "one/Queue/x is, or lies in, one/Queue of"                 new-server x 127.0.0.1:0 one/Queue/x
wrong './one/ is, or lies in, one of'                                           new-server x 127.0.0.1:0 ./one/
wrong 'mkdir -p no/such'                                  new-server x 127.0.0.1:0 no/such/folder
wrong 'is no folder'                                      new-server x 127.0.0.1:0 plain
wrong "domain: 'a b' is no domain name"                   new-server x 127.0.0.1:0 x 'a b'
wrong 'cannot be printed'                                 new-server "$(printf 'a\033b')"
wrong 'cannot be printed'                                 new-server "$(printf 'a\nb')"
wrong "no server is called 'none', and there are 1"       new-domain none
wrong "domain 'TWO.example' stands on line 3 already"     new-domain one TWO.example
wrong "domain: '-' is no domain name"                     new-domain one -- -
wrong 'only a remote one can be a wildcard'               new-domain one '*.x.example' alias
wrong 'a second default domain'                           new-domain one x.example default
wrong "domain: 'own' is none of: default alias remote"    new-domain one x.example own
wrong "smart-host: 'a b' is no host"                      new-domain one x.example remote 'a b'
wrong "allow-relay: 'perhaps' is none of: no yes"         new-domain one x.example remote dns perhaps
for i in 'new-server x 127.0.0.1:0 x x.example more' 'new-domain one x.example alias more'; do
	wizard 64 $i; says "'more' is one word too many"; untouched "$i"
done
wizard 64 new-servers; says usage
[ ! -e x ] && [ ! -e no ] || fail 'a folder was made'

printf '%s\n' one '' nonsense "$taken" 127.0.0.1:0 plain 'my mail' 'a b' ok.example | wizard 0 new-server
is "$(grep -cE '^(Name of|Address|Home|Default domain)' err)" 6 'the first question, and those asked again'
for i in 'stands on line 1' 'is no address and port' 'in use by another' 'is no folder' "'a b' is no domain"; do says "$i"; done
[ -d 'my mail/Drop' ] || fail 'the folders of the one that was asked for'
awk '$0 == "" { exit } { print }' smtpd.conf >rest; same rest before 'what was there'

# --- domains ---

cp before smtpd.conf
wizard 0 new-domain one three.example alias;                         added '    domain three.example alias'
keep; wizard 0 new-domain '' '*.four.example' '' '' yes;             added '    domain *.four.example remote { allow-relay yes }'
keep; wizard 0 new-domain one a.example remote '[192.0.2.1]:587' no; added '    domain a.example remote { smart-host [192.0.2.1]:587 }'
keep; wizard 0 new-domain one b.example remote mx.example yes;       added '    domain b.example remote { smart-host mx.example; allow-relay yes }'
keep; printf '%s\n' '' '*.c.example' alias remote mx.example '' | wizard 0 new-domain
added '    domain *.c.example remote { smart-host mx.example }'
is "$(sed -n '/# a remark }/,$p' smtpd.conf | sed '/^    domain/d' | tr '\n' '|')" '	# a remark }|  }|# the end|' 'before the brace'
printf 'server s { domain a.example default }' >smtpd.conf
wizard 0 new-domain s b.example alias
is "$(tr '\n' '|' <smtpd.conf)" 'server s { domain a.example default |    domain b.example alias|}' 'a block in one line'
printf '\357\273\277server s {\r\n  domain a.example default\r\n}\r\n' >smtpd.conf; keep
wizard 0 new-domain s b.example alias
added '    domain b.example alias'

# Two servers, one of them in another file; FILE is a link, and private.
mkdir etc
printf 'include part.conf\n%s\n' 'server here { general { mailroot h }; domain h.example default }' >etc/main.conf
printf '# part\nserver "o\\"ther" {\n    general { listen 127.0.0.1:0 }\n    domain o.example default\n}\n' >part.conf
ln -s etc/main.conf link.conf
cp part.conf before; cp etc/main.conf main.before
chmod 600 etc/main.conf; chmod 640 part.conf
[ "$(id -u)" != 0 ] || chown 65534 part.conf
printf '%s\n' 1 in.example alias | wizard 0 -f link.conf new-domain
says '   1  o"ther'
says 'Name of the domain, for server "o\x22ther"'
grep -q 'for server "o"ther"\.$' out || fail "a number is no name: $(cat out)"
mv part.conf smtpd.conf; added '    domain in.example alias'; mv smtpd.conf part.conf
same etc/main.conf main.before 'the file that includes'
is "$(ls -ln part.conf | awk '{ print $1 }' | cut -c 1-10)" '-rw-r-----' 'its mode'
[ "$(id -u)" != 0 ] || is "$(ls -ln part.conf | awk '{ print $3 }')" 65534 'its owner'
wizard 0 -f link.conf new-domain here out.example alias
grep -qx '    domain out.example alias' etc/main.conf || fail 'the file the link leads to'
[ -L link.conf ] && [ ! -L etc/main.conf ] || fail 'a link has become a file'
is "$(ls -l etc/main.conf | cut -c 1-10)" '-rw-------' 'the mode behind the link'

# --- nothing is written ---

cp main.before smtpd.conf; rm link.conf
keep
printf 'x.example\n' | wizard 1 new-domain here; untouched 'the input ends'
says 'no answer, and nothing was written'
wizard 1 -f none.conf new-server </dev/null
[ ! -e none.conf ] || fail 'a file was made, without an answer'
: >smtpd.conf.new
wizard 73 new-domain here x.example alias; says 'somebody else is at it'
rm smtpd.conf.new; untouched 'somebody else is at it'

mkfifo ask; spawn slow $SH -c '"$SMTPD" new-domain here x.example <ask'
exec 4>ask
wait_for 'grep -q Kind slow.log'
echo '# somebody else' >>smtpd.conf; keep
echo alias >&4; exec 4>&-
wait_for '[ -e slow.rc ]'
is "$(cat slow.rc)" 75 'somebody has changed it meanwhile'
untouched 'somebody has changed it'
grep -q 'has been changed meanwhile' slow.log || fail 'it does not say that it has changed'
end slow TERM 1

printf 'server x {\n  general { lisen 1 }\n  domain x y z\n}\n' >smtpd.conf; keep
for i in new-server 'new-domain x'; do
	wizard 78 $i </dev/null
	says "smtpd.conf:2: unknown directive 'lisen'"; says 'smtpd.conf:3: domain: wants'; untouched "$i, with mistakes"
done
wizard 78 -f nothere.conf new-domain x; says 'nothere.conf: No such file'

# --- by root: the folders are whose they will be ---

if [ "$(id -u)" = 0 ]; then
	printf 'user 54321:54322\n' >his.conf
	"$SMTPD" -f his.conf new-server his 127.0.0.1:0 his his.example >out 2>err || fail "$(cat err)"
	is "$(find his -user 54321 -group 54322 | wc -l | tr -d ' ')" 7 'what is of the user, of 5 folders, the mailroot and its lock'
	"$SMTPD" -f nobody.conf new-server his 127.0.0.1:0 whose his.example >out 2>err || fail "$(cat err)"
	grep -q 'its folders are made at the start' out && [ ! -e whose ] || fail 'folders for nobody'
	mkdir roots
	"$SMTPD" -f his.conf new-server roots 127.0.0.1:0 roots his.example >out 2>err && fail "folders in root's"
	says 'roots/.lock cannot be locked: Permission denied'
fi

case ${SMTPD##*/} in
smtpd-test*)
	cp main.before smtpd.conf; keep
	for i in 'open 1 EACCES' 'write 1 ENOSPC' 'sync 1 EIO' 'rename 1 EIO'; do
		FAULT=$i; export FAULT
		wizard 73 new-domain here x.example alias; untouched "$i"
		wizard 73 -f fresh.conf new-server x 127.0.0.1:0 fresh x.example
		[ ! -e fresh.conf ] && [ ! -e fresh.conf.new ] && [ ! -e fresh ] || fail "left something behind: $i"
	done
	unset FAULT ;;
esac
ok
