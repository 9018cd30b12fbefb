/*
 * unit_config.c - what the operator wrote: right values land where they
 * belong, and every mistake is told with its file and line, all in one pass.
 */
#include "test.h"

#include <sys/wait.h>
#include <fnmatch.h>

#define SERVER "server s { general { mailroot m; listen 127.0.0.1:0 }\n"
#define HOME   "domain here.example default\n"

/* ---- mistakes ------------------------------------------------------------------- */

/* A file, and what is said about it: a line for each of its mistakes, as
 * fnmatch patterns (so a "[" is written "\\["). */
static const struct { const char *file, *said; } mistakes[] = {
	/* words */
	{ SERVER "domain \"here.example default\n}\n", "c.conf:2: missing closing quote\nc.conf:2: domain: wants a name*\n"
	  "c.conf:2: domain: 'here.example default' is no domain name\n" },
	{ SERVER HOME "messages { max-size \"32M }\n}\n", "c.conf:3: missing closing quote\nc.conf:3: max-size: *\n"
	  "c.conf:5: end of file inside the server block opened on line 1\n" },
	{ SERVER HOME, "c.conf:3: end of file inside the server block opened on line 1\n" },
	{ SERVER HOME "messages {\n\n", "c.conf:5: end of file inside the messages block opened on line 3\n"
	  "c.conf:5: end of file inside the server block opened on line 1\n" },
	{ SERVER HOME "}\n}\n", "c.conf:4: '}' closes nothing\n" },
	{ SERVER "domain $UNIT_UNSET default }\n",
	  "c.conf:2: $UNIT_UNSET is not set in the environment\nc.conf:2: domain: *\n" },
	/* names */
	{ SERVER HOME "messages { max-sise 1M }\n}\n",
	  "c.conf:3: unknown directive 'max-sise' in messages; did you mean 'max-size'\\?\n" },
	{ SERVER HOME "messages { frobnicate 1M }\n}\n", "c.conf:3: unknown directive 'frobnicate' in messages\n" },
	{ SERVER HOME "delivery { retries 1m }\n}\n",
	  "c.conf:3: unknown directive 'retries' in delivery; did you mean 'retry'\\?\n" },
	{ SERVER HOME "general { max-size 1M }\n}\n", "c.conf:3: 'max-size' belongs in messages, not in general\n" },
	{ SERVER HOME "max-size 1M\n}\n", "c.conf:3: 'max-size' *\n" },
	{ "max-size 1M\n" SERVER HOME "}\n", "c.conf:1: 'max-size' belongs in messages, not in top level\n" },
	{ SERVER HOME "ldap-routing { server ldap://a.example/dc=x ldap://b.example; bind simple; user a; password b }\n}\n",
	  "c.conf:3: server: 'ldap://a.example/dc=x' is no directory *\nc.conf:3: server: ldap://b.example would hear the password in clear*\n" },
	{ SERVER HOME "ldap-routing { base dc=x }\n}\n", "c.conf:3: ldap-routing: there is no 'server ldap://HOST' in it, so nobody is asked\n" },
	{ SERVER HOME "ldap-routing { server ldap://a.example\nuser a\ndomain b\npassword c\nclear-text-password yes }\n}\n",
	  "c.conf:4: user: only 'bind simple' says *\nc.conf:5: domain: only *\nc.conf:6: password: only *\nc.conf:7: clear-text-password: only *\n" },
	{ SERVER HOME "ldap-routing { server ldapi://%2Fx ldap://a.example; bind external }\n}\n",
	  "c.conf:3: bind external: ldap://a.example could not know who we are: *\n" },
	{ SERVER HOME "ldap-routing { server ldap://a.example; schema novell }\n}\n", "c.conf:3: schema: 'novell' is none of: active-directory *\n" },
	{ SERVER HOME "ldap-routing { server ldap://a.example; host-attribute a_b }\n}\n", "c.conf:3: host-attribute: 'a_b' is no name of an attribute *\n" },
	{ SERVER HOME "ldap-routing { server ldap://a.example; filter (mail=a) }\n}\n", "c.conf:3: filter: '(mail=a)': it has no %s, and would find everybody\n" },
	{ SERVER HOME "access { passwords p }\n}\n", "c.conf:3: passwords: nobody will be asked for one: *\n" },
	{ SERVER HOME "access { passwords p; clear-text-passwords yes; authenticate anonymous }\n}\n", "c.conf:3: passwords: *\n" },
	{ SERVER HOME "access { authenticate plain }\n}\n", "c.conf:3: authenticate: without 'anonymous' it needs a 'passwords FILE' *\n" },
	{ SERVER HOME "general { listen 127.0.0.1:0 submission }\n}\n", "c.conf:3: listen: 'submission' needs a 'passwords FILE' *\n" },
	{ SERVER HOME "domain a.example remote { hold yes; hold-accounts a }\n}\n", "c.conf:3: hold-accounts: needs a 'passwords FILE' *\n" },
	{ SERVER HOME "access { require-tls yes }\n}\n", "c.conf:3: require-tls: *\n" },
	{ SERVER HOME "access { tls-minimum 1.1 }\n}\n", "c.conf:3: tls-minimum: '1.1' is none of: 1.2 1.3\n" },
	{ SERVER HOME "messages { general { } }\n}\n", "c.conf:3: 'general' opens no block in messages; *\n" },
	{ "general { }\n" SERVER HOME "}\n", "c.conf:1: 'general' opens no block in top level; *\n" },
	{ "server s\n{\n" HOME "}\n", "c.conf:1: server: *\nc.conf:2: *\n*" },
	{ SERVER HOME "{ }\n}\n", "c.conf:3: '{' opens no block *\n" },
	{ "server { general { listen 127.0.0.1:0 }\n" HOME "}\n", "c.conf:1: server: wants one name*\n" },
	{ "server a b { general { listen 127.0.0.1:0 }\n" HOME "}\n", "c.conf:1: server: wants one name*\n" },
	/* how often */
	{ SERVER HOME "messages { max-size 1M\nmax-size 2M }\n}\n", "c.conf:4: max-size: already set on line 3\n" },
	{ SERVER HOME "general { mailroot n }\n}\n", "c.conf:3: mailroot: already set on line 1\n" },
	{ SERVER HOME "messages { max-size 1M 2M; max-recipients }\n}\n",
	  "c.conf:3: max-size: wants one value, got 2\nc.conf:3: max-recipients: wants one value, got 0\n" },
	{ SERVER HOME "general { listen; hostname \"\" }\n}\n", "c.conf:3: listen: wants at least one value, got 0\n"
	  "c.conf:3: hostname: is empty\nc.conf:3: hostname: *\n" },
	/* values */
	{ SERVER HOME "general { timeout 10 }\n}\n", "c.conf:3: timeout: '10' is not a time (such as 30s, 10m, 12h or 2d)\n" },
	{ SERVER HOME "general { timeout 10M }\n}\n", "c.conf:3: timeout: '10M' is not a time *\n" },
	{ SERVER HOME "general { timeout 0s }\n}\n", "c.conf:3: timeout: '0s' is too small: 1s to 30d\n" },
	{ SERVER HOME "general { timeout 31d }\n}\n", "c.conf:3: timeout: '31d' is too large: 1s to 30d\n" },
	{ SERVER HOME "general { timeout unlimited }\n}\n", "c.conf:3: timeout: 'unlimited' is not a time *\n" },
	{ SERVER HOME "general { timeout 99999999999999999999d }\n}\n", "c.conf:3: timeout: *\n" },
	{ SERVER HOME "general { timeout 999999999999999d }\n}\n", "c.conf:3: timeout: *\n" },
	{ SERVER HOME "general { connections 0 }\n}\n", "c.conf:3: connections: '0' is too small: 1 to unlimited\n" },
	{ SERVER HOME "general { connections -1 }\n}\n", "c.conf:3: connections: '-1' is not a number: 1 to unlimited\n" },
	{ SERVER HOME "general { connections 1K }\n}\n", "c.conf:3: connections: '1K' is not a number: 1 to unlimited\n" },
	{ SERVER HOME "messages { max-size 1.5M }\n}\n", "c.conf:3: max-size: '1.5M' is not a size (such as *)\n" },
	{ SERVER HOME "messages { max-size 32MB }\n}\n", "c.conf:3: max-size: '32MB' is not a size *\n" },
	{ SERVER HOME "messages { max-size 32m }\n}\n", "c.conf:3: max-size: '32m' is not a size *\n" },
	{ SERVER HOME "messages { max-size 100 }\n}\n", "c.conf:3: max-size: '100' is too small: 1K to unlimited\n" },
	{ SERVER HOME "messages { max-size \"1 \" }\n}\n", "c.conf:3: max-size: '1 ' is not a size *\n" },
	{ SERVER HOME "messages { line-endings crlf }\n}\n", "c.conf:3: line-endings: 'crlf' is none of: normalize reject\n" },
	{ SERVER HOME "messages { extensions DSN -FOO }\n}\n", "c.conf:3: extensions: 'DSN' is none of: *\n"
	  "c.conf:3: extensions: '-FOO' is none of: *\n" },
	{ SERVER HOME "access { open-relay maybe }\n}\n", "c.conf:3: open-relay: 'maybe' is none of: no yes\n" },
	{ SERVER HOME "access { connect 10.0.0.0/8 }\n}\n", "c.conf:3: connect: '10.0.0.0/8' is none of: only all-except\n" },
	{ SERVER HOME "access { relay only 10.0.0.0/33 localhost }\n}\n",
	  "c.conf:3: relay: '10.0.0.0/33' is no address *\nc.conf:3: relay: 'localhost' is no address *\n" },
	{ SERVER HOME "access { connect only . ..a .a..b .*.a\nrelay only a.example }\n}\n",
	  "c.conf:3: connect: '.' is no address *\nc.conf:3: connect: '..a' is no address *\n"
	  "c.conf:3: connect: '.a..b' is no address *\nc.conf:3: connect: '.*.a' is no address *\n"
	  "c.conf:4: relay: 'a.example' is no address *, and no domain with its dot (such as .example.com)\n" },
	{ SERVER HOME "access { tarpit 11m }\ndelivery { reverse-dns yes }\n}\n",
	  "c.conf:3: tarpit: '11m' is too large: 0s to 10m\nc.conf:4: reverse-dns: 'yes' is none of: off annotate require\n" },
	{ SERVER HOME "access { connect only ::1\nconnect all-except ::2 }\n}\n", "c.conf:4: connect: both *\n" },
	{ SERVER HOME "general { listen 127.0.0.1 }\n}\n", "c.conf:3: listen: '127.0.0.1' is no address and port *\n" },
	{ SERVER HOME "general { listen ::1:25 127.0.0.1:70000 }\n}\n",
	  "c.conf:3: listen: '::1:25' *\nc.conf:3: listen: '127.0.0.1:70000' *\n" },
	{ SERVER HOME "messages { max-size \"\033\\\"\" }\n}\n", "c.conf:3: max-size: '\\\\x1b\\\\x22' is not *\n" },
	/* of relaying */
	{ "resolver localhost 127.0.0.1:70000 192.0.2.1:\nresolver\n" SERVER HOME "}\n",
	  "c.conf:1: resolver: 'localhost' is no address *\nc.conf:1: resolver: '127.0.0.1:70000' *\n"
	  "c.conf:1: resolver: '192.0.2.1:' is no address *\nc.conf:2: resolver: wants at least one value, got 0\n" },
	{ "hosts a\nhosts b\nhosts\n" SERVER HOME "}\n",
	  "c.conf:2: hosts: already set on line 1\nc.conf:3: hosts: *\n" },
	{ SERVER "resolver ::1\n" HOME "}\n", "c.conf:2: 'resolver' *\n" },
	{ SERVER HOME "delivery { retry 15m 0s 31d 4\nretry 1h }\n}\n",
	  "c.conf:3: retry: '0s' is too small: 1s to 30d\nc.conf:3: retry: '31d' is too large: 1s to 30d\n"
	  "c.conf:3: retry: '4' is not a time *\nc.conf:4: retry: already set on line 3\n" },
	{ SERVER HOME "delivery { retry }\n}\n", "c.conf:3: retry: wants at least one value, got 0\n" },
	{ SERVER HOME "delivery { retry 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s }\n}\n",
	  "c.conf:3: retry: more than 16 intervals\n" },
	{ SERVER HOME "delivery { glitch-retry 60s }\n}\n", "c.conf:3: glitch-retry: wants a time and a number\n" },
	{ SERVER HOME "delivery { glitch-retry 60s 3 3 }\n}\n", "c.conf:3: glitch-retry: wants a time and a number\n" },
	{ SERVER HOME "delivery { glitch-retry 3 60s }\n}\n", "c.conf:3: glitch-retry: '3' is not a time *\n" },
	{ SERVER HOME "delivery { glitch-retry 60s 3s }\n}\n", "c.conf:3: glitch-retry: '3s' is not a number: 0 to 1000\n" },
	{ SERVER HOME "delivery { glitch-retry 60s 1001 }\n}\n", "c.conf:3: glitch-retry: '1001' is too large: 0 to 1000\n" },
	{ SERVER HOME "delivery { glitch-retry 0s 3 }\n}\n", "c.conf:3: glitch-retry: '0s' is too small: 1s to 1d\n" },
	{ SERVER HOME "delivery { glitch-retry 2d 3 }\n}\n", "c.conf:3: glitch-retry: '2d' is too large: *\n" },
	{ SERVER HOME "delivery { notify never; expire unlimited\nlocal-notify 0s; local-expire 366d; local-retry unlimited }\n}\n",
	  "c.conf:3: notify: 'never' is not a time *\nc.conf:3: expire: 'unlimited' is not a time *\n"
	  "c.conf:4: local-notify: '0s' is too small: *\nc.conf:4: local-expire: '366d' is too large: *\n"
	  "c.conf:4: local-retry: 'unlimited' is not a time *\n" },
	{ SERVER HOME "delivery { connections 0; connections-per-domain 0\ntimeout 31d; max-hops 0 }\n}\n",
	  "c.conf:3: connections: '0' is too small: 1 to unlimited\nc.conf:3: connections-per-domain: '0' is too small: *\n"
	  "c.conf:4: timeout: '31d' is too large: 1s to 30d\nc.conf:4: max-hops: '0' is too small: *\n" },
	{ SERVER HOME "delivery { port 0 }\n}\n", "c.conf:3: port: '0' is too small: *\n" },
	{ SERVER HOME "delivery { port 65536 }\n}\n", "c.conf:3: port: '65536' is too large: *\n" },
	{ SERVER HOME "delivery { masquerade a..b }\n}\n", "c.conf:3: masquerade: 'a..b' is no domain name\n" },
	{ SERVER HOME "delivery { direct-first yes }\n}\n", "c.conf:3: direct-first: there is no smart-host to come second\n" },
	{ SERVER HOME "delivery { smart-host ::1 a..b [] [a [a]b [a]: a: a:0 a:65536 a:2x }\n}\n",
	  "c.conf:3: smart-host: '::1' is no host *\nc.conf:3: smart-host: 'a..b' is no host *\n"
	  "c.conf:3: smart-host: '\\[]' is no host *\nc.conf:3: smart-host: '\\[a' is no host *\n"
	  "c.conf:3: smart-host: '\\[a]b' is no host *\nc.conf:3: smart-host: '\\[a]:' is no host *\n"
	  "c.conf:3: smart-host: 'a:' is no host *\nc.conf:3: smart-host: 'a:0' is no host *\n"
	  "c.conf:3: smart-host: 'a:65536' is no host *\nc.conf:3: smart-host: 'a:2x' is no host *\n" },
	{ SERVER HOME "messages { per-connection 0\nbadmail-limit 100M }\n}\n",
	  "c.conf:3: per-connection: '0' is too small: 1 to unlimited\nc.conf:4: badmail-limit: wants a size and a time\n" },
	{ SERVER HOME "messages { badmail-limit 30d 100M }\n}\n", "c.conf:3: badmail-limit: '30d' is not a size *\n" },
	{ SERVER HOME "messages { badmail-limit 100M 30 }\n}\n", "c.conf:3: badmail-limit: '30' is not a time *\n" },
	{ SERVER HOME "messages { badmail-limit 1 30d }\n}\n", "c.conf:3: badmail-limit: '1' is too small: 1K to unlimited\n" },
	{ SERVER HOME "messages { ndr-copy-to a@b@c }\n}\n", "c.conf:3: ndr-copy-to: 'a@b@c' is no address\n" },
	{ SERVER HOME "messages { ndr-copy-to <> }\n}\n", "c.conf:3: ndr-copy-to: '<>' is no address\n" },
	{ SERVER "domain here.example default { smart-host a; helo-only yes }\n}\n",
	  "c.conf:2: 'smart-host' belongs in a remote domain\nc.conf:2: 'helo-only' belongs in a remote domain\n*" },
	{ SERVER "domain here.example default { hold yes; hold-accounts a }\n}\n",
	  "c.conf:2: 'hold' belongs in a remote domain\nc.conf:2: 'hold-accounts' belongs in a remote domain\n*" },
	{ SERVER HOME "domain a.example remote {\nhold-accounts a b; hold-accounts }\n"
	  "domain b.example remote { hold 1; hold no }\n}\n",
	  "c.conf:4: hold-accounts: wants at least one value, got 0\n"
	  "c.conf:5: hold: '1' is none of: no yes\nc.conf:5: hold: already set on line 5\n"
	  "c.conf:3: hold-accounts: mail for 'a.example' is not held; say 'hold yes'\n" },
	{ SERVER HOME "domain a.example remote { quota 1M\nhelo-only maybe; smart-host }\n}\n",
	  "c.conf:4: helo-only: 'maybe' is none of: no yes\nc.conf:4: smart-host: wants at least one value, got 0\n"
	  "c.conf:3: 'quota' belongs in a default domain\n" },
	{ SERVER HOME "general { log apache daily x }\n}\n", "c.conf:3: log: 'apache' is none of: none w3c iis ncsa\n" },
	{ SERVER HOME "general { log w3c daily }\n}\n", "c.conf:3: log: wants 'none' alone, or a format, *(such as: w3c daily logs)\n" },
	{ SERVER HOME "general { log w3c daily \"\" }\n}\n", "c.conf:3: log: wants *\n" },
	{ SERVER HOME "general { log none daily logs }\n}\n", "c.conf:3: log: wants *\n" },
	{ SERVER HOME "general { log w3c dayly logs }\n}\n", "c.conf:3: log: 'dayly' is none of: hourly * never, and no size (such as 20M)\n" },
	{ SERVER HOME "general { log w3c unlimited logs }\n}\n", "c.conf:3: log: 'unlimited' is none of: *\n" },
	{ SERVER HOME "general { log w3c 20 logs }\n}\n", "c.conf:3: log: '20' is too small: at least 16K\n" },
	{ SERVER HOME "general { log w3c 20MB logs }\n}\n", "c.conf:3: log: '20MB' is not a size *\n" },
	{ SERVER HOME "general { log w3c daily Pickup/logs }\n}\n", "c.conf:3: log: 'Pickup/logs' would lie in Pickup, *\n" },
	{ SERVER HOME "general { log w3c daily Badmail }\n}\n", "c.conf:3: log: 'Badmail' is a folder for mail; the log has its own\n" },
	{ SERVER HOME "general { log iis daily logs\nlog-fields date\nlog-local-time no }\n}\n",
	  "c.conf:4: log-fields: only a w3c log can choose\nc.conf:5: log-local-time: only a w3c log can choose\n" },
	{ SERVER HOME "general { log-fields date cs(user-agent)\nlog-fields }\n}\n",
	  "c.conf:3: log-fields: 'cs(user-agent)' is none of: date time c-ip *\nc.conf:4: log-fields: already set on line 3\n" },
	{ SERVER HOME "delivery { tls sometimes }\nldap-routing { scope x }\nsecurity { operators 0 no-such-user @nobodys }\n}\n",
	  "c.conf:3: tls: 'sometimes' is none of: off opportunistic required verified\n"
	  "c.conf:4: scope: 'x' is none of: base one subtree\nc.conf:5: operators: this system has no user 'no-such-user'\n"
	  "c.conf:5: operators: this system has no group '@nobodys'\n" },
	{ SERVER HOME "delivery { authenticate any jones\n}\ndomain a.example remote { authenticate any md5 jones file }\n"
	  "domain b.example remote { smart-host b; authenticate any \"\" file }\n}\n",
	  "c.conf:3: authenticate: wants how (any plain login scram-sha-256 xoauth2), a user, and the file of his password\n"
	  "c.conf:5: authenticate: 'md5' is none of: any plain login scram-sha-256 xoauth2\n"
	  "c.conf:6: authenticate: wants how *\nc.conf:3: authenticate: there is no smart-host *\n" },
	{ SERVER HOME "delivery { authenticate any jones file }\n}\n",
	  "c.conf:3: authenticate: there is no smart-host that could ask who we are\n" },
	{ SERVER HOME "delivery { smart-host a }\ndomain b.example remote { tls off; authenticate any jones file }\n}\n",
	  "c.conf:4: tls: 'b.example' has no smart-host of its own, so its mail goes to the server's\n"
	  "c.conf:4: authenticate: 'b.example' has no smart-host of its own, so its mail goes to the server's\n" },
	{ "user a\nuser b\nchroot\nchroot /a /b\n" SERVER HOME "}\n", "c.conf:2: user: already set on line 1\n"
	  "c.conf:3: chroot: wants one value, got 0\nc.conf:4: chroot: already set on line 3\n" },
	{ SERVER HOME "general { listen proxy-from ::1\nlisten 127.0.0.1:0 proxy-from\n"
	  "listen 127.0.0.1:0 proxy-from ::1 192.0.2.0/33 127.0.0.1:0 }\n}\n",
	  "c.conf:3: listen: proxy-from stands behind the address, *\nc.conf:4: listen: proxy-from stands *\n"
	  "c.conf:5: proxy-from: '192.0.2.0/33' is no address or network *\n"
	  "c.conf:5: proxy-from: '127.0.0.1:0' is no address or network *\n" },
	{ SERVER HOME "general { listen 127.0.0.1:0 tls }\n}\n", "c.conf:3: listen*tls*\n" },
	{ SERVER "domain here.example default { drop maildir:M/%x }\n}\n", "c.conf:2: drop: 'M/%x': one %u can stand in it, *\n" },
	{ SERVER "domain here.example default { drop maildir:M/%u/%u }\n}\n", "c.conf:2: drop: 'M/%u/%u': one %u can stand in it, *\n" },
	{ SERVER "domain here.example default { drop maildir:%u; recipients r }\n}\n", "c.conf:2: drop: %u is a folder's whole name, *\nc.conf:2: r: No such *\n" },
	{ SERVER "domain here.example default { drop maildir:M/u-%u }\n}\n", "c.conf:2: drop: %u is a folder's whole name, *\n" },
	{ SERVER "domain here.example default { drop maildir:M/%u }\n}\n", "c.conf:2: drop: %u needs 'recipients FILE' or ldap-routing, *\n" },
	{ SERVER "domain here.example default { drop maildir: }\n}\n", "c.conf:2: drop: 'maildir:' wants a folder\n" },
	{ SERVER "domain here.example default { drop maildir:Queue/new }\n}\n", "c.conf:2: drop: 'Queue/new' would lie in Queue, *\n" },
	{ SERVER "domain here.example default { recipients none; aliases none }\n}\n", "c.conf:2: none: No such *\nc.conf:2: none: No such *\n" },
	{ SERVER HOME "domain a.example remote { aliases x; recipients x }\n}\n",
	  "c.conf:3: 'recipients' belongs in a default domain\nc.conf:3: 'aliases' belongs in a default domain\n" },
	/* domains */
	{ SERVER "}\n", "c.conf:1: server \"s\" has no default domain; add *\n" },
	{ SERVER HOME "domain there.example default\n}\n", "c.conf:3: a second default domain; the first stands on line 2\n" },
	{ SERVER HOME "domain HERE.example alias\n}\n", "c.conf:3: domain 'HERE.example' stands on line 2 already\n" },
	{ SERVER HOME "domain a.example\ndomain b.example foreign\ndomain c.example alias x\n}\n",
	  "c.conf:3: domain: wants a name and *\nc.conf:4: domain: 'foreign' is none of: *\nc.conf:5: domain: wants *\n*" },
	{ SERVER HOME "domain *.a.example alias\ndomain a..b remote\n}\n",
	  "c.conf:3: domain: '\\*.a.example' is no domain name; *\nc.conf:4: domain: 'a..b' is no domain name\n" },
	{ SERVER HOME "domain a.example alias { drop x }\ndomain b.example remote { drop y }\n}\n",
	  "c.conf:3: an alias has no settings of its own\nc.conf:4: 'drop' belongs in a default domain\n" },
	{ SERVER "domain here.example default {\nallow-relay yes\n}\n}\n",
	  "c.conf:3: 'allow-relay' belongs in a remote domain\n" },
	{ SERVER "domain here.example default { quota 1 }\n}\n", "c.conf:2: quota: '1' is too small: 1K to unlimited\n" },
	/* between settings */
	{ SERVER "domain here.example default { drop Pickup }\n}\n", "c.conf:2: drop: 'Pickup' would lie in Pickup, *\n" },
	{ SERVER "domain here.example default { drop ./Queue/x }\n}\n", "c.conf:2: drop: '*Queue/x' would lie in Queue, *\n" },
	{ SERVER HOME "messages { badmail SortTemp }\n}\n", "c.conf:3: badmail: 'SortTemp' would lie in SortTemp, *\n" },
	{ SERVER "domain here.example default { drop Badmail }\n}\n", "c.conf:2: drop and badmail are the same folder\n" },
	{ SERVER HOME "access { relay all-except }\n}\n", "c.conf:3: relay all-except: this is an open relay*\n" },
	{ SERVER HOME "delivery { expire 1m\nnotify 2m }\n}\n", "c.conf:4: notify is more than expire, so it would never come to that; lower it\n" },
	{ SERVER HOME "delivery { local-expire 1m\nlocal-notify 2m }\n}\n", "c.conf:4: local-notify is more than local-expire, so it would never come to that; lower it\n" },
	{ SERVER HOME "delivery { connections 5\nconnections-per-domain 6 }\n}\n", "c.conf:4: connections-per-domain is more than connections, so it would never come to that; lower it\n" },
	{ SERVER HOME "general { connections 5\nconnections-per-client 6 }\n}\n", "c.conf:4: connections-per-client is more than connections, so it would never come to that; lower it\n" },
	{ SERVER HOME "messages { max-size 2M\nmax-session 1M }\n}\n", "c.conf:4: max-session is smaller than max-size\n" },
	{ SERVER HOME "general { hostname a_b..c }\n}\n", "c.conf:3: hostname: 'a_b..c' is no host name\n" },
	{ "server a { general { mailroot x; listen 127.0.0.1:25 }\n" HOME "}\n"
	  "server b { general { mailroot y; listen \\[::1]:25 0.0.0.0:25 }\n" HOME "}\n",
	  "c.conf:4: \"b\" cannot listen on 0.0.0.0:25: c.conf:1 does already\n" },
	{ "server a {\n" HOME "}\nserver b { general { mailroot y }\n" HOME "}\n",
	  "c.conf:4: \"b\" cannot listen on 127.0.0.1:2525: c.conf:1 does already\n" },
	{ SERVER HOME "}\nserver t { general {\nlisten 127.0.0.1:0\nmailroot m }\n" HOME "}\n",
	  "c.conf:6: mailroot 'm' is server \"s\"'s already; each has its own\n" },
	{ SERVER HOME "}\nserver s { general { mailroot n; listen 127.0.0.1:0 }\n" HOME "}\n",
	  "c.conf:4: server \"s\" stands on line 1 already\n" },
	/* files */
	{ "", "c.conf: no server block; *\n" },
	{ SERVER HOME "}\ninclude\ninclude a b\n", "c.conf:4: include: wants one file\nc.conf:5: include: wants one file\n" },
	{ "include none.conf\n" SERVER HOME "}\n", "c.conf:1: *none.conf*No such file*\n" },
	{ SERVER HOME "}\ninclude wrong.conf\nserver x { }\n",
	  "wrong.conf:2: unknown directive 'frobnicate' in top level\nc.conf:5: server \"x\" has no default domain; *\n" },
	{ "include loop.conf\n", "loop.conf:1: *\n" },
};

/* All that was said: each line has to fit its pattern, "*" at the end stands
 * for any number more. */
static bool
said_is(const char *said, const char *patterns)
{
	char got[1000], want[1000];
	size_t n, m;

	for (; *patterns != '\0'; said += n + 1, patterns += m + (patterns[m] == '\n')) {
		if (strcmp(patterns, "*") == 0)
			return true;
		n = strcspn(said, "\n");
		m = strcspn(patterns, "\n");
		snprintf(got, sizeof got, "%.*s", (int)n, said);
		snprintf(want, sizeof want, "%.*s", (int)m, patterns);
		if (fnmatch(want, got, 0) != 0 || said[n] != '\n')
			return false;
	}
	return *said == '\0';
}

/* A pattern's text: without the backslashes that fnmatch wants.  Only in
 * addresses like [::1] are they in a file. */
static void
file_write(const char *text)
{
	char plain[4000];
	size_t n = 0;

	for (; *text != '\0'; text++)
		if (text[0] != '\\' || text[1] != '[')
			plain[n++] = *text;
	test_write("c.conf", plain, n);
}

static void
all_mistakes(void)
{
	static const char wrong[] = "#\nfrobnicate 1\n", loop[] = "include loop.conf\n";

	test_write("wrong.conf", wrong, sizeof wrong - 1);
	test_write("loop.conf", loop, sizeof loop - 1);
	for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i++) {
		test_case = mistakes[i].file;
		file_write(mistakes[i].file);
		test_errors_to("said");
		CHECK(config_load("c.conf") == NULL);
		if (!CHECK(said_is(test_read("said"), mistakes[i].said)) && test_failures < FAILURES_SHOWN)
			printf("--- want:\n%s---  got:\n%s---\n", mistakes[i].said, test_read("said"));
	}
	test_case = "NUL";
	test_write("c.conf", "server s {\0}", 12);
	test_errors_to("said");
	CHECK(config_load("c.conf") == NULL && said_is(test_read("said"), "c.conf:1: *\n*"));
	test_case = "";
}

/* Without the file itself there is nothing to go on with. */
static void
no_file(void)
{
	int status = 0;
	pid_t child;

	test_errors_to("said");
	if ((child = test_fork()) == 0)
		_exit(config_load("no.such.conf") == NULL ? 78 : 0);
	CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 78);
	CHECK(said_is(test_read("said"), "*no.such.conf: No such file*\n"));
}

/* Mistakes of all sorts in one file, none hidden by another. */
static void
one_pass(void)
{
	file_write("frobnicate 1\nserver s {\n  general { listen 127.0.0.1:0\n timeout 10\n}\n messages {\n  retry 1m\n"
	    "  max-size huge; line-endings x }\n domain a..b default\n}\nserver t { general { mailroot q } }\n");
	test_errors_to("said");
	CHECK(config_load("c.conf") == NULL);
	CHECK(said_is(test_read("said"), "c.conf:1: *\nc.conf:4: timeout*\nc.conf:7: 'retry' belongs*\nc.conf:8: max-size*\n"
	    "c.conf:8: line-endings*\nc.conf:9: domain*\nc.conf:11: *no default*\n"));
}

/* ---- values land ------------------------------------------------------------------------- */

static struct config *
loaded(const char *file)
{
	struct config *c;

	test_errors_to("said");
	c = config_load(file);
	CHECK_TEXT(test_read("said"), "");
	return CHECK(c != NULL) ? c : NULL;
}

static void
listeners_are(const struct listen *l, const char *const *want)
{
	char text[ADDR_TEXT + 8];

	for (; l != NULL; l = l->next)
		if (CHECK(*want != NULL))
			CHECK_TEXT(addr_text_port(&l->addr, text), *want++);
	CHECK(*want == NULL);
}

/* What is an address is known as such, and the port is always there. */
static void
hops_are(const struct hop *h, const char *const *want)
{
	char text[300];

	for (; h != NULL; h = h->next) {
		struct addr a;

		snprintf(text, sizeof text, h->direct ? "[%s]:%u" : "%s:%u", h->host, (unsigned)h->addr.port);
		if (CHECK(*want != NULL))
			CHECK_TEXT(text, *want++);
		CHECK(addr_parse(&a, h->host, false) == -1 ? h->addr.family == 0 : addr_same(&a, &h->addr));
	}
	CHECK(*want == NULL);
}

static bool
allowed(const struct access *list, const char *who)
{
	struct addr a;

	return addr_parse(&a, who, false) == 0 && access_allows(list, &a);
}

static void
values(void)
{
	static const char *const resolvers[] = { "127.0.0.1:53", "[::1]:5353", "[::1]:53", NULL };
	static const char *const hops[] = { "a.example:27", "[b.example]:0", "[::1]:65535", "192.0.2.1:0", "[192.0.2.2]:1", NULL };
	static const char *const one_hop[] = { "d:2", NULL }, *const none[] = { NULL };
	static const char *const first[] = { "127.0.0.1:0", "[::1]:25", "0.0.0.0:2526", NULL };
	static const char *const second[] = { "127.0.0.1:2525", NULL };
	static const char part[] = "server two { domain \"b.example\" default; general { mailroot r2 } }";
	struct config *c;
	struct server *s;
	char where[WHERE_SIZE];

	test_write("part.conf", part, sizeof part - 1);
	setenv("UNIT_HOST", "mail.env.example", 1);
	file_write("resolver 127.0.0.1 \\[::1]:5353\nresolver ::1; hosts /h\n# comment\r\nserver \"the \\\"first\\\" \\\\\" {\r\n"
	    "\tgeneral { listen 127.0.0.1:0 \\[::1]:25; listen 0.0.0.0:2526\n hostname $UNIT_HOST\n"
	    "  mailroot \"a b\"; connections unlimited; connections-per-client 7; timeout 90s\n"
	    "  log w3c 20M \"l l\"; log-fields cs-username date time; log-local-time yes }\n"
	    "  access {\n    connect all-except 192.0.2.0/24\n    connect all-except 2001:db8::/32 .B\303\274cher.Example # more\n"
	    "    relay only 127.0.0.0/8 ::1; open-relay no; tarpit 10m;"
	    "    passwords p; clear-text-passwords yes; authenticate login plain; relay-authenticated no\n  }\n"
	    "  messages { max-size 3K; max-session 2G; max-recipients 12; badmail /b; line-endings reject\n"
	    "    extensions -DSN -PIPELINING; extensions -HELP; per-connection 3; ndr-copy-to ops; badmail-limit 5M 1h }\n"
	    "  delivery { local-retry 1d; max-hops 99; retry 1s 2m 30d; glitch-retry 5s 0; notify unlimited; expire 365d\n"
	    "    local-notify 1m; local-expire 1h; connections 8; connections-per-domain 4; timeout 1s; port 26\n"
	    "    masquerade m.example; direct-first yes; smart-host a.example:27 \\[b.example] \\[::1]:65535\n"
	    "    smart-host 192.0.2.1 \\[192.0.2.2]:1; reverse-dns require }\n"
	    "  domain a.example default { drop D; quota 1024M }\n"
	    "  domain b.example alias; domain *.c.example remote { allow-relay yes; helo-only yes; smart-host d:2 }\n"
	    "  domain d.example remote { hold yes; hold-accounts anna bert; hold-accounts carl }\n"
	    "  domain *.d.example remote { hold yes }\n"
	    "}\ninclude part.conf");
	if ((c = loaded("c.conf")) == NULL)
		return;
	s = c->servers;
	CHECK_TEXT(s->name, "the \"first\" \\");
	listeners_are(s->listen, first);
	CHECK_TEXT(s->hostname, "mail.env.example");
	CHECK_TEXT(s->mailroot, "a b");
	CHECK(s->connections == UNLIMITED && s->connections_per_client == 7 && s->timeout == 90000);
	CHECK(!allowed(&s->connect, "192.0.2.9") && !allowed(&s->connect, "2001:db8::9") && allowed(&s->connect, "192.0.3.1"));
	CHECK(allowed(&s->relay, "127.9.9.9") && allowed(&s->relay, "::1") && !allowed(&s->relay, "10.0.0.1"));
	CHECK(s->log.format == LOG_W3C && s->log.roll == ROLL_SIZE && s->log.size == 20 << 20 && s->log_local_time);
	CHECK_TEXT(s->log.folder, "l l");
	CHECK(s->log_fields == 11);
	CHECK_TEXT(s->connect.list->domain, "xn--bcher-kva.example");
	CHECK_TEXT(s->passwords, "p");
	CHECK(s->authenticate == (MECH_LOGIN | MECH_PLAIN) && s->clear_text_passwords && !s->relay_authenticated);
	CHECK(!s->open_relay && s->tarpit == 600000 && s->reverse_dns == REVERSE_REQUIRE);
	CHECK(s->max_size == 3 << 10 && s->max_session == 2LL << 30 && s->max_recipients == 12);
	CHECK_TEXT(s->badmail, "/b");
	CHECK(s->line_endings == ENDINGS_REJECT && s->hidden == (EXT_DSN | EXT_PIPELINING | EXT_HELP));
	listeners_are(c->resolvers, resolvers);
	CHECK_TEXT(c->hosts, "/h");
	CHECK(s->local_retry == 86400000 && s->max_hops == 99 && s->local_notify == 60000 && s->local_expire == 3600000);
	CHECK(s->retry[0] == 1000 && s->retry[1] == 120000 && s->retry[2] == 30 * 86400000LL && s->retry[3] == 0);
	CHECK(s->glitch_retry[0] == 5000 && s->glitch_retry[1] == 0 && s->notify == UNLIMITED && s->expire == 365 * 86400000LL);
	CHECK(s->relays == 8 && s->relays_per_domain == 4 && s->relay_timeout == 1000 && s->port == 26 && s->direct_first);
	CHECK(s->per_connection == 3 && s->badmail_limit[0] == 5 << 20 && s->badmail_limit[1] == 3600000);
	CHECK_TEXT(s->masquerade, "m.example");
	CHECK_TEXT(s->ndr_copy_to, "ops@a.example");
	hops_are(s->smart_host, hops);
	CHECK(config_domain(s, "x.c.example")->helo_only && config_domain(s, "x.c.example")->allow_relay);
	hops_are(config_domain(s, "x.c.example")->smart_host, one_hop);
	CHECK(config_collects(s, "D.example", "anna") && config_collects(s, "d.example", "carl"));
	CHECK(!config_collects(s, "d.example", NULL) && !config_collects(s, "d.example", "Anna") && !config_collects(s, "d.example", ""));
	CHECK(config_collects(s, "x.d.example", NULL) && !config_collects(s, "x.d.example", "anna"));
	CHECK(!config_collects(s, "x.c.example", NULL) && !config_collects(s, "a.example", NULL) && !config_collects(s, "nobody", NULL));
	CHECK(config_offers(s, EXT_ETRN) && config_offers(s, EXT_ATRN) && config_offers(s, EXT_TURN));
	CHECK(s->home != NULL && s->home == s->domains && s->home->quota == 1LL << 30);
	CHECK_TEXT(s->home->drop, "D");
	CHECK_TEXT(config_where(where, s, "max-hops"), "max-hops (c.conf:16)");
	CHECK_TEXT(config_where(where, s, "quota"), "quota (c.conf:20)");
	CHECK_TEXT(config_where_row(where, s, NULL, "smart-host"), "smart-host (c.conf:19)");
	CHECK_TEXT(config_where_row(where, s, config_domain(s, "x.c.example"), "smart-host"), "smart-host (c.conf:21)");
	CHECK_TEXT(config_where_row(where, s, s->home, "smart-host"), "smart-host (default)");

	/* The second takes what the first one said nowhere. */
	s = s->next;
	if (CHECK(s != NULL && s->next == NULL)) {
		CHECK_TEXT(s->name, "two");
		listeners_are(s->listen, second);
		CHECK(s->connections == 1000 && s->connections_per_client == UNLIMITED && s->timeout == 600000);
		CHECK(allowed(&s->connect, "192.0.2.9") && !allowed(&s->relay, "127.0.0.1"));
		CHECK(s->log.format == LOG_NONE && s->log_fields == 0xed0f && !s->log_local_time);
		CHECK(s->max_size == 32 << 20 && s->max_session == UNLIMITED && s->max_recipients == 1000);
		CHECK(s->line_endings == ENDINGS_NORMALIZE && s->hidden == 0 && s->local_retry == 3600000 && s->max_hops == 30);
		CHECK(!config_offers(s, EXT_ETRN) && !config_offers(s, EXT_ATRN) && config_offers(s, EXT_DSN));
		CHECK(s->retry[0] == 900000 && s->retry[1] == 1800000 && s->retry[2] == 3600000 && s->retry[3] == 14400000 &&
		    s->retry[4] == 0 && s->glitch_retry[0] == 60000 && s->glitch_retry[1] == 3);
		CHECK(s->notify == 43200000 && s->expire == 172800000 && s->local_notify == 43200000 && s->local_expire == 172800000);
		CHECK(s->relays == 1000 && s->relays_per_domain == 100 && s->relay_timeout == 600000 && s->port == 25);
		CHECK(s->per_connection == 20 && s->badmail_limit[0] == 100 << 20 && s->badmail_limit[1] == 30 * 86400000LL);
		CHECK(s->tarpit == 0 && s->reverse_dns == REVERSE_OFF);
		CHECK(s->masquerade == NULL && s->ndr_copy_to == NULL && !s->direct_first);
		hops_are(s->smart_host, none);
		CHECK(s->home->quota == UNLIMITED && domain_valid(s->hostname, strlen(s->hostname)));
		CHECK_TEXT(s->badmail, "Badmail");
		CHECK_TEXT(s->home->drop, "Drop");
		CHECK_TEXT(s->place.file, "part.conf");
		CHECK_TEXT(config_where(where, s, "timeout"), "timeout (default)");
	}
	config_release(c);

	setenv("UNIT_HOST", "two words", 1);		/* still one word */
	file_write(SERVER HOME "general { hostname $UNIT_HOST }\n}\n");
	test_errors_to("said");
	CHECK(config_load("c.conf") == NULL && said_is(test_read("said"), "c.conf:3: hostname: 'two words' is no*\n"));
	file_write(SERVER HOME "access { relay all-except; open-relay yes }\n"
	    "messages { badmail-limit unlimited unlimited; ndr-copy-to <x@y.example>; per-connection unlimited } }");
	if ((c = loaded("c.conf")) != NULL) {
		s = c->servers;
		CHECK(allowed(&s->relay, "192.0.2.1") && s->per_connection == UNLIMITED);
		CHECK(s->badmail_limit[0] == UNLIMITED && s->badmail_limit[1] == UNLIMITED);
		CHECK_TEXT(s->ndr_copy_to, "x@y.example");
		listeners_are(c->resolvers, none);
		CHECK_TEXT(c->hosts, "/etc/hosts");
	}
	config_release(c);
	
}

/* ---- which domain ------------------------------------------------------------------------------ */

static const char *
domain_of(const struct server *s, const char *name)
{
	const struct domain *d = config_domain(s, name);

	return d == NULL ? "(none)" : d->name;
}

static void
domains(void)
{
	struct config *c;
	struct server *s;

	file_write(SERVER "domain here.example default\ndomain also.example alias\ndomain *.sub.net.example remote\n"
	    "domain *.net.example remote\ndomain *.x.sub.net.example remote\n"
	    "domain mx.sub.net.example alias\ndomain far.example remote\n}\n");
	if ((c = loaded("c.conf")) == NULL)
		return;
	s = c->servers;
	CHECK_TEXT(domain_of(s, "HERE.Example"), "here.example");
	CHECK_TEXT(domain_of(s, "also.example"), "also.example");
	CHECK_TEXT(domain_of(s, "far.example"), "far.example");
	CHECK_TEXT(domain_of(s, "x.net.example"), "*.net.example");
	CHECK_TEXT(domain_of(s, "x.y.NET.example"), "*.net.example");
	CHECK_TEXT(domain_of(s, "x.sub.net.example"), "*.sub.net.example");	/* the longer one */
	CHECK_TEXT(domain_of(s, "x.x.sub.net.example"), "*.x.sub.net.example");
	CHECK_TEXT(domain_of(s, "sub.net.example"), "*.net.example");
	CHECK_TEXT(domain_of(s, "mx.sub.net.example"), "mx.sub.net.example");	/* the exact one */
	CHECK_TEXT(domain_of(s, "net.example"), "(none)");
	CHECK_TEXT(domain_of(s, ".net.example"), "(none)");
	CHECK_TEXT(domain_of(s, "xnet.example"), "(none)");
	CHECK_TEXT(domain_of(s, "sub.here.example"), "(none)");
	CHECK_TEXT(domain_of(s, "here.example.com"), "(none)");
	CHECK_TEXT(domain_of(s, ""), "(none)");
	CHECK(domain_local(config_domain(s, "here.example")) && domain_local(config_domain(s, "also.example")));
	CHECK(!domain_local(config_domain(s, "far.example")) && !domain_local(NULL));
	config_release(c);
}

/* ---- without a file; what explain prints; without memory ------------------------------------------- */

static void
built_in(void)
{
	static const char *const listen[] = { "127.0.0.1:2525", NULL };
	struct config *c = loaded(NULL);

	if (c == NULL)
		return;
	CHECK(c->servers != NULL && c->servers->next == NULL);
	listeners_are(c->servers->listen, listen);
	CHECK_TEXT(c->servers->mailroot, "mailroot");
	CHECK(domain_local(config_domain(c->servers, "localhost")));
	CHECK(!allowed(&c->servers->relay, "127.0.0.1"));
	config_release(c);
}

/* The configuration it prints is one it takes, and says the defaults. */
static void
explained(void)
{
	struct config *c;
	int out = dup(STDOUT_FILENO), fd = open("c.conf", O_WRONLY | O_CREAT | O_TRUNC, 0600);

	fflush(stdout);
	CHECK(dup2(fd, STDOUT_FILENO) != -1);
	CHECK(settings_explain(NULL) == 0 && settings_explain("max-size") == 0);
	fflush(stdout);
	CHECK(strstr(test_read("c.conf"), "    Default: 32M\n") != NULL);
	CHECK(ftruncate(fd, 0) == 0 && lseek(fd, 0, SEEK_SET) == 0);
	settings_explain(NULL);
	fflush(stdout);
	dup2(out, STDOUT_FILENO);
	close(out);
	close(fd);
	if ((c = loaded("c.conf")) != NULL)
		CHECK(c->servers->max_size == 32 << 20 && c->servers->local_retry == 3600000);
	config_release(c);
	test_errors_to("said");
	CHECK(settings_explain("no-such") == -1 && strstr(test_read("said"), "'no-such'") != NULL);
}

/* Before it serves, a sentence and the end, whenever it happens. */
static void
without_memory(void)
{
	int status = 0;

	file_write(SERVER HOME "access { connect only ::1 } }\n");
	memory = test_memory;
	for (long nth = 1; nth < 1000; nth++) {
		pid_t child = test_fork();

		if (child == 0) {
			test_errors_to("said");
			test_memory_nth = nth;
			_exit(config_load("c.conf") == NULL ? 78 : test_memory_nth > 0 ? 0 : 2);
		}
		CHECK(child != -1 && waitpid(child, &status, 0) == child && WIFEXITED(status));
		if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
			break;
		CHECK(WEXITSTATUS(status) == 71 || WEXITSTATUS(status) == 78);	/* the file itself did not fit */
		CHECK(*test_read("said") != '\0');
	}
	CHECK(WEXITSTATUS(status) == 0);
	memory = realloc;
}

int
main(void)
{
	test_enter();
	unsetenv("UNIT_UNSET");
	all_mistakes();
	no_file();
	one_pass();
	values();
	domains();
	built_in();
	explained();
	without_memory();
	return test_end();
}
