/*
 * settings.c - the table of all directives.
 *
 * It drives parsing (config.c), and what is printed here from it: `smtpd
 * explain`, the sample configuration and the manual page; so none of them can
 * disagree.
 */
#include "smtpd.h"

#include <stdio.h>
#include <string.h>

const char *const block_name[BLOCKS] = {
	"top level", "server", "general", "access", "messages", "delivery",
	"ldap-routing", "security", "domain"
};

/* In the order in which they are written. */
const char log_fields[] = "date time c-ip cs-username s-sitename s-computername s-ip s-port cs-method cs-uri-stem "
    "cs-uri-query sc-status sc-win32-status sc-bytes cs-bytes time-taken cs-version cs-host "
    "cs(User-Agent) cs(Cookie) cs(Referer)";

const char *const extension_name[EXT_COUNT] = {
	"PIPELINING", "SIZE", "8BITMIME", "BINARYMIME", "CHUNKING", "SMTPUTF8", "DSN", "ENHANCEDSTATUSCODES", "LIMITS", "HELP",
	"ETRN", "ATRN", "TURN", "STARTTLS", "AUTH"
};

const struct schema schemas[] = {
	{ "active-directory", "(|(proxyAddresses=smtp:%s)(mail=%s))",
	  "mail proxyAddresses", "targetAddress", "", "member", "", "managedBy", "group", "ad" },
	{ "exchange", "(|(rfc822Mailbox=%s)(otherMailbox=smtp$%s)(mail=%s))",
	  "rfc822Mailbox mail", "targetAddress", "", "member", "", "owner", "groupOfNames distributionList", "cn=%u,%b" },
	{ "site-server", "(mail=%s)",
	  "mail", "", "", "member uniqueMember", "", "owner", "groupOfNames mailGroup", "cn=%u,ou=members,%b" },
	{ "inet-local-mail", "(&(objectClass=inetLocalMailRecipient)(mailLocalAddress=%s)) (&(objectClass=inetLocalMailRecipient)(mailLocalAddress=@%d))",
	  "mail mailLocalAddress", "mailRoutingAddress", "mailHost", "", "", "", "", "uid=%u,%b" },
	{ "nis-alias", "(&(objectClass=nisMailAlias)(cn=%u))",
	  "", "", "", "", "rfc822MailMember", "", "nisMailAlias", "uid=%u,%b" },
	{ "group-of-names", "(|(mail=%s)(mailAlternateAddress=%s))",
	  "mail", "mailForwardingAddress", "mailHost", "member uniqueMember", "mgrpRFC822MailMember", "mgrpErrorsTo owner",
	  "groupOfNames groupOfUniqueNames mailGroup", "uid=%u,%b" },
};

const size_t schemas_count = sizeof schemas / sizeof *schemas;

#define S(member) offsetof(struct server, member)
#define D(member) offsetof(struct domain, member)
#define C(member) offsetof(struct config, member)
#define LATER_IN(block, name) { block, LATER, name, 0, NULL, 0, 0, NULL, NULL, NULL }

const struct setting settings[] = {
	{ TOP, RESOLVERS, "resolver", C(resolvers), "", 0, 0, NULL,
	  "the system's DNS settings",
	  "The name servers to ask, each an address and, where it is not 53, a port; at most three are used. "
	  "The default is what /etc/resolv.conf says, which is read again when it changes." },
	{ TOP, TEXT, "hosts", C(hosts), "/etc/hosts", 0, 0, NULL,
	  "the system's hosts file",
	  "Names and addresses that are known without asking a name server." },
	{ TOP, TEXT, "user", C(user), "", 0, 0, NULL,
	  "not in the model",
	  "NAME or NAME:GROUP, or their numbers: whom to become when the addresses are bound. Mailroots that are missing are made for him. "
	  "Without it the server will not run as root: say 'root' if that is meant. Only the start looks at it." },
	{ TOP, TEXT, "chroot", C(chroot), "", 0, 0, NULL,
	  "not in the model",
	  "The directory that is all we see from then on: the mailroots, and whatever is read later (hosts, this file at a reload), "
	  "are looked for in it. Only root can do that, and only the start looks at it." },
	{ TOP, TEXT, "control", C(control), NULL, 0, 0, ".control in the first mailroot",
	  "the console",
	  "The socket by which 'smtpd status' and the like reach the running server. The default is .control in the first server's mailroot." },
	{ TOP, OPERATORS, "operators", C(operators), "root", 0, 0, NULL,
	  "Security: Operators",
	  "Users, and @groups, who may operate the server by that socket, beside root and the user that runs it." },
	{ TOP, TEXT, "metrics", C(metrics), "", 0, 0, NULL,
	  "System Monitor: SMTP Server",
	  "A file that is written anew each minute with the counters, in Prometheus' text format; the same as 'smtpd status metrics' prints." },

	{ GENERAL, LISTENER, "listen", S(listen), "127.0.0.1:2525", 0, 0, NULL,
	  "General: IP address, Advanced...",
	  "Where the server listens: address and port, IPv6 in brackets. Repeat it, or give several. "
	  "With port 0 the system picks one, and the line that announces it says which. "
	  "'proxy-from LIST' at the end of the line: only these addresses and networks may connect to what stands before it, and "
	  "each connection begins with a header of the PROXY protocol (1 or 2), which says who the client is. "
	  "'tls' behind an address: TLS from the first octet on, without STARTTLS, as on port 465. "
	  "'submission' behind it: for those who write mail, as on port 587; they authenticate first, addresses must be complete, "
	  "and Date, Message-ID and From are added where they are missing, Bcc removed. "
	  "The model listened on all addresses, port 25; this one asks to be told." },
	{ GENERAL, TEXT, "hostname", S(hostname), NULL, 0, 0, "the host's own name",
	  "Delivery: Advanced, Fully-qualified domain name",
	  "The name by which the server greets and signs its Received fields. The default is the host's own name." },
	{ GENERAL, TEXT, "mailroot", S(mailroot), "mailroot", 0, 0, NULL,
	  "the wizard's home directory",
	  "The directory of the five folders Pickup, SortTemp, Queue, Drop and Badmail; made when missing. "
	  "Relative to the directory the server is started in. Each server has its own." },
	{ GENERAL, NUMBER, "connections", S(connections), "1000", 1, UNLIMITED, NULL,
	  "General: Limit number of connections to",
	  "How many clients can be connected at once. One more is answered 421 and closed." },
	{ GENERAL, NUMBER, "connections-per-client", S(connections_per_client), "unlimited", 1, UNLIMITED, NULL,
	  "not in the model",
	  "How many of them, at most all, can come from one address. One more is answered 421 and closed." },
	{ GENERAL, TIME, "timeout", S(timeout), "10m", 1000, 30 * DAY, NULL,
	  "General: Connection time-out (minutes)",
	  "How long a client may take for a whole command line, or be silent within a message, before it is answered 421 and closed." },
	{ GENERAL, LOG, "log", S(log), "none", 16384, UNLIMITED - 1, NULL,
	  "General: Enable logging, Active log format, New log time period",
	  "The protocol log, one record for each command and reply: a format (w3c, iis, ncsa); when another file begins "
	  "(hourly, daily, weekly, monthly, never, or at a size such as 20M); and a folder, relative to the mailroot, made when missing. "
	  "None, as in the model: each message and each refusal has a line on standard error anyway." },
	{ GENERAL, WORDS, "log-fields", S(log_fields),
	  "date time c-ip cs-username cs-method cs-uri-query sc-status sc-bytes cs-bytes time-taken", 0, 0, log_fields,
	  "General: Extended Logging Options",
	  "The fields of a w3c log, out of: date time c-ip cs-username s-sitename s-computername s-ip s-port cs-method "
	  "cs-uri-stem cs-uri-query sc-status sc-win32-status sc-bytes cs-bytes time-taken cs-version cs-host "
	  "cs(User-Agent) cs(Cookie) cs(Referer). They are written in this order; those that mean something only on the web are '-'." },
	{ GENERAL, YESNO, "log-local-time", S(log_local_time), "no", 0, 0, NULL,
	  "General: Use local time for file naming and rollover",
	  "Whether a w3c log has local time, in its records and in its files' names, instead of UTC. The other formats always have it." },
	{ GENERAL, YESNO, "start", S(start), "yes", 0, 0, NULL,
	  "the console's Start and Stop",
	  "Whether the server begins with the program, until an operator has said otherwise: what he said holds after a restart." },

	{ ACCESS, ADDRESSES, "connect", S(connect), "all-except", 0, 0, NULL,
	  "Access: Connection control",
	  "Who may connect: 'only' those listed, or 'all-except' those listed. An entry is an address, a network such as 192.0.2.0/24, "
	  "or a domain: .example.com is example.com and all names below it. Whoever may not is greeted with 554 and closed. "
	  "A client has a name when the DNS leads from its address to the name and back; it is looked up before the greeting, which takes 20 seconds at most. "
	  "When no name server answers, 'only' means 421, and 'all-except' lets in." },
	{ ACCESS, ADDRESSES, "relay", S(relay), "only", 0, 0, NULL,
	  "Access: Relay restrictions",
	  "Who may send to domains that are not ours: 'only' those listed (by default nobody), or 'all-except' those listed, "
	  "which makes an open relay and needs 'open-relay yes' beside it. Entries are as in 'connect'. Others get 550 5.7.1 for each such recipient, "
	  "or 451 4.4.3 when it takes their name to say and no name server answers." },
	{ ACCESS, YESNO, "open-relay", S(open_relay), "no", 0, 0, NULL,
	  "not in the model",
	  "Says that 'relay all-except' is meant." },
	{ ACCESS, WORDS, "authenticate", S(authenticate), "anonymous plain login scram-sha-256", 0, 0, "anonymous plain login scram-sha-256",
	  "Access: Authentication",
	  "How clients may say who they are, where there are 'passwords'; and 'anonymous', that they need not: "
	  "without it whoever has not is answered 530 5.7.0. The model's Windows package has no place here." },
	{ ACCESS, YESNO, "clear-text-passwords", S(clear_text_passwords), "no", 0, 0, NULL,
	  "Access: Authentication, Basic; Requires TLS encryption",
	  "Offers AUTH without TLS too. Who listens on the way has the passwords then, or, with scram-sha-256, something to try passwords on." },
	{ ACCESS, TEXT, "passwords", S(passwords), "", 0, 0, NULL,
	  "Access: Authentication; the accounts were those of the system",
	  "The file of those who can authenticate, a line for each: a name, and what can prove a password but does not tell it. "
	  "'smtpd password' makes it. Relative to the directory the server is started in; read each time that somebody authenticates." },
	{ ACCESS, CERTIFICATES, "certificate", S(certificates), "", 0, 0, NULL,
	  "Access: Secure communication, Certificate",
	  "Two files in PEM: a certificate with those that lead to its authority, and its key without a passphrase. With one, STARTTLS is offered. "
	  "Repeat it for other names, which clients choose by SNI (the first is for those who name none of them), "
	  "or for the same names with a key of another kind: RSA and ECDSA. Read at the start, before root is given up, and at a reload. "
	  "The log warns when one has two weeks left." },
	{ ACCESS, YESNO, "require-tls", S(require_tls), "no", 0, 0, NULL,
	  "Access: Secure communication, Require secure channel",
	  "Before STARTTLS a client may say no more than EHLO, NOOP, HELP, RSET and QUIT; the rest is answered 530 5.7.0." },
	{ ACCESS, WORD, "tls-minimum", S(tls_minimum), "1.2", 0, 0, "1.2 1.3",
	  "not in the model",
	  "The oldest TLS that clients may speak. Of 1.2 only ciphers with forward secrecy and authenticated encryption are used." },
	{ ACCESS, TEXT, "client-authorities", S(client_authorities), "", 0, 0, NULL,
	  "Access: Secure communication, client certificates",
	  "A file of certificates in PEM: clients are asked for a certificate that one of them has signed. "
	  "What comes is noted in the log, verified or not; it refuses nobody, and allows nothing." },
	{ ACCESS, YESNO, "relay-authenticated", S(relay_authenticated), "yes", 0, 0, NULL,
	  "Access: Relay restrictions, Allow all computers which successfully authenticate to relay",
	  "Who has authenticated may send to all domains, whatever 'relay' says." },
	{ ACCESS, TIME, "tarpit", S(tarpit), "0s", 0, 600 * 1000, NULL,
	  "registry: TarpitTime",
	  "How long each refusal (a reply 5xx after the greeting) is held back, 10m at most, so that trying out addresses takes time. "
	  "Nothing is read from that client meanwhile; others do not wait." },

	{ MESSAGES, SIZE, "max-size", S(max_size), "32M", 1024, UNLIMITED, NULL,
	  "Messages: Limit message size to (KB)",
	  "The largest message accepted, by SMTP (which announces it as SIZE) or from Pickup. "
	  "The model's 2 MB is smaller than a photograph." },
	{ MESSAGES, SIZE, "max-session", S(max_session), "unlimited", 1024, UNLIMITED, NULL,
	  "Messages: Limit session size to (KB)",
	  "How many octets of messages one connection may bring; after that the next MAIL is answered 421, and the client comes again. "
	  "Off unlike in the model, for no client can discover it." },
	{ MESSAGES, NUMBER, "max-recipients", S(max_recipients), "1000", 1, 10000, NULL,
	  "Messages: Limit number of recipients per message to",
	  "Recipients of one message, 10000 at most; one more is answered 452 4.5.3, and the client sends him another copy. "
	  "RFC 5321 asks for 100 at least." },
	{ MESSAGES, TEXT, "badmail", S(badmail), "Badmail", 0, 0, NULL,
	  "Messages: Badmail directory",
	  "The folder for what can be neither delivered nor returned, relative to the mailroot. It must be on the same file system." },
	{ MESSAGES, WORD, "line-endings", S(line_endings), "normalize", 0, 0, "normalize reject",
	  "not in the model",
	  "What to do with a line that ends in LF alone: take it as a line's end and store CR LF (never as the end of a message), "
	  "or refuse it with 550 5.5.2 and close; a message that came by BDAT, whose end is known, is refused without closing." },
	{ MESSAGES, EXTENSIONS, "extensions", S(hidden), "", 0, 0, NULL,
	  "metabase: SmtpInboundCommandSupportOptions",
	  "Extensions not to offer, each with a minus: -PIPELINING -SIZE -8BITMIME -BINARYMIME -CHUNKING -SMTPUTF8 -DSN -ENHANCEDSTATUSCODES -LIMITS -HELP "
	  "-ETRN -ATRN -TURN -STARTTLS -AUTH. -8BITMIME takes away BINARYMIME and SMTPUTF8 too, which are nothing without it, and -CHUNKING takes away BINARYMIME." },
	{ MESSAGES, NUMBER, "per-connection", S(per_connection), "20", 1, UNLIMITED, NULL,
	  "Messages: Limit number of messages per connection to",
	  "How many messages we send on one connection to another server before it is closed and the next one is opened. "
	  "One whose recipients need several transactions counts as several." },
	{ MESSAGES, TEXT, "ndr-copy-to", S(ndr_copy_to), "", 0, 0, NULL,
	  "Messages: Send copy of Non-Delivery Report to",
	  "An address that gets a copy of each report of failure; one in our domains must be there (recipients)." },
	{ MESSAGES, PAIR, "badmail-limit", S(badmail_limit), "100M 30d", 0, UNLIMITED, "size time",
	  "registry: MaxBadMailFolderSize",
	  "How large the badmail folder may grow, and how old what lies in it; beyond either the oldest is removed. "
	  "In the model it grew until the disk was full. Each can be 'unlimited'." },

	{ MESSAGES, PAIR, "queue-warning", S(queue_warning), "10000 1d", 0, UNLIMITED, "number time",
	  "not in the model, whose administrators were told to look",
	  "How many messages may wait in Queue, and how long the oldest; beyond either the log says so and the postmaster of the default domain gets a mail, once." },
	{ MESSAGES, PAIR, "badmail-warning", S(badmail_warning), "100 50M", 0, UNLIMITED, "number size",
	  "not in the model",
	  "The same for Badmail: how many messages, and their size." },

	{ DELIVERY, TIMES, "retry", S(retry), "15m 30m 1h 4h", 1000, 30 * DAY, NULL,
	  "Delivery: First, Second, Third, Subsequent retry interval",
	  "The intervals between attempts at a message, counted from its arrival; the last one repeats." },
	{ DELIVERY, PAIR, "glitch-retry", S(glitch_retry), "60s 3", 0, DAY, "time number",
	  "registry: GlitchRetrySeconds",
	  "Before these, a destination that cannot be reached is tried again after this interval, so many times." },
	{ DELIVERY, TIME, "notify", S(notify), "12h", 1000, UNLIMITED, NULL,
	  "Delivery: Outbound, Delay notification",
	  "After this time, at most expire, its sender is told, once, that a message is delayed; 'unlimited': never." },
	{ DELIVERY, TIME, "expire", S(expire), "2d", 1000, 365 * DAY, NULL,
	  "Delivery: Outbound, Expiration timeout",
	  "After this time a message is given up and returned to its sender." },
	{ DELIVERY, TIME, "local-retry", S(local_retry), "1h", 1000, 30 * DAY, NULL,
	  "metabase: LocalRetryInterval",
	  "How long mail waits in Queue when its Drop folder is full or cannot be written, before the next attempt." },
	{ DELIVERY, TIME, "local-notify", S(local_notify), "12h", 1000, UNLIMITED, NULL,
	  "Delivery: Local, Delay notification",
	  "The same as notify, for mail to our own domains." },
	{ DELIVERY, TIME, "local-expire", S(local_expire), "2d", 1000, 365 * DAY, NULL,
	  "Delivery: Local, Expiration timeout",
	  "The same as expire, for mail to our own domains." },
	{ DELIVERY, NUMBER, "connections", S(relays), "1000", 1, UNLIMITED, NULL,
	  "Delivery: Outbound Connections, Limit number of connections to",
	  "How many connections to other servers we have at once." },
	{ DELIVERY, NUMBER, "connections-per-domain", S(relays_per_domain), "100", 1, UNLIMITED, NULL,
	  "Delivery: Outbound Connections, Limit number of connections per domain to",
	  "How many of them, at most all, go to one domain or smart host. We begin with one, and add one for each message that was taken." },
	{ DELIVERY, TIME, "timeout", S(relay_timeout), "10m", 1000, 30 * DAY, NULL,
	  "Delivery: Outbound Connections, Time-out (minutes)",
	  "The most we wait for another server; RFC 5321 4.5.3.2 has shorter times for most of its answers, and they hold too." },
	{ DELIVERY, NUMBER, "port", S(port), "25", 1, 65535, NULL,
	  "Delivery: Outbound Connections, TCP port",
	  "The port of the servers we deliver to, where a smart host has none of its own." },
	{ DELIVERY, TEXT, "masquerade", S(masquerade), "", 0, 0, NULL,
	  "Delivery: Advanced, Masquerade domain",
	  "A domain that takes the place of our own ones in the sender's address of relayed mail, and from which reports come." },
	{ DELIVERY, HOPS, "smart-host", S(smart_host), "", 0, 0, NULL,
	  "Delivery: Advanced, Smart host",
	  "Where all mail to other domains goes: a name whose MX records are looked up, or a name or address in brackets, "
	  "which is connected to as it is; each with a port or without. Several are tried in order." },
	{ DELIVERY, YESNO, "direct-first", S(direct_first), "no", 0, 0, NULL,
	  "Delivery: Advanced, Attempt direct delivery before sending to smart host",
	  "Use the smart host only for domains that cannot be looked up." },
	{ DELIVERY, NUMBER, "max-hops", S(max_hops), "30", 1, 1000, NULL,
	  "Delivery: Advanced, Maximum hop count",
	  "A message with more Received fields than this is going round in circles and is answered 554 5.4.6. "
	  "The model's 15 was too few for real mail; RFC 5321 6.3 asks for a large number." },
	{ DELIVERY, WORD, "reverse-dns", S(reverse_dns), "off", 0, 0, "off annotate require",
	  "Delivery: Advanced, Perform reverse DNS lookup on incoming messages",
	  "Look up each client's name before greeting it. With 'annotate' the Received field has the name that leads back to the address, and "
	  "(unverified) when that is not what the client calls itself, or (RDNS failed) when no name server answered. "
	  "With 'require' besides, a client without such a name is answered 550 5.7.25 (451 4.7.25 when no name server answered) for each recipient; "
	  "who stands in 'relay only' needs none, nor who writes to our postmaster." },
	{ DELIVERY, ACCOUNT, "authenticate", S(account), "", 0, 0, "any plain login scram-sha-256 xoauth2",
	  "Delivery: Outbound Security, Basic authentication",
	  "METHOD ... USER FILE: who we are to the smart host, and by which methods that may be said: plain, login, scram-sha-256, xoauth2, "
	  "or any, which is all but the last. The first line of FILE is the password, or the token that another program keeps current; it is read at each connection, "
	  "and must be its owner's alone (chmod 600). SCRAM-SHA-256 comes first where it is offered, then PLAIN, LOGIN, XOAUTH2; "
	  "those three say the password, and only under TLS, unless 'tls off' is written. Where no 'tls' is written at all it is 'verified' here, "
	  "so that nobody else is told the password; and where an MX leads out of the domain that is written as smart-host, "
	  "the certificate is to be for that domain: write such a host in brackets. A password that is refused returns no mail: it waits, "
	  "and the postmaster gets a mail about it, one in a day." },
	{ DELIVERY, WORD, "tls", S(tls_policy), "", 0, 0, "off opportunistic required verified",
	  "Delivery: Outbound Security, TLS encryption",
	  "Whether mail to others goes by TLS: 'opportunistic', by STARTTLS where it is offered, whatever the certificate, and in clear where it is not, "
	  "or comes to nothing; 'required', or not at all; 'verified', and only to a host whose certificate is believed (ca-file) and is for its name: "
	  "as smart-host has it, or as the MX has it, which is as good as the DNS is; of an address in brackets it is the address; "
	  "'off', always in clear. On port 465 TLS comes first, without STARTTLS, unless it is off. What fails waits, and is tried again. "
	  "At the server's smart host mail for a domain with a 'tls' of its own has the stricter of the two. "
	  "The default is 'opportunistic', and where 'authenticate' stands 'verified'. A program built without OpenSSL can only say 'off', and does not look for STARTTLS." },
	{ DELIVERY, TEXT, "ca-file", S(ca_file), "", 0, 0, NULL,
	  "not in the model",
	  "A file of certificates in PEM, of those who are believed where TLS is 'verified', instead of those that the system believes; "
	  "with 'chroot' it must be said, for what the system has is looked for when it is needed. It may hold lists of revoked certificates (CRL) too: then each certificate must be covered by one, and those that are revoked are refused." },

	{ DELIVERY, CERTIFICATES, "certificate", S(own_certificate), "", 0, 0, NULL,
	  "Delivery: Outbound Security, certificate",
	  "Two files in PEM, a certificate and its key: what we show to hosts that ask who we are. Read as those in access are." },
	{ LDAP, DIRECTORIES, "server", S(ldap.directories), "", 0, 0, NULL,
	  "LDAP Routing: Server",
	  "The directory to ask: ldap://HOST or ldap://HOST:PORT; ldaps:// the same with TLS from the first octet on; ldapi://PATH a local socket, "
	  "with %2F for each slash. Several are tried in order: the next one while those before it cannot be used, and after ten minutes the first one again. "
	  "While none can be, mail that needs it waits. Referrals to other directories are not followed, but noted in the log." },
	{ LDAP, WORD, "bind", S(ldap.bind), "anonymous", 0, 0, "anonymous simple external",
	  "LDAP Routing: Binding",
	  "Who we are to the directory: nobody; or by user and password; or, on ldapi or with a 'certificate', whom the connection proves us to be (SASL EXTERNAL). "
	  "The model's Windows SSPI and service account have no place here." },
	{ LDAP, TEXT, "domain", S(ldap.domain), "", 0, 0, NULL,
	  "LDAP Routing: Domain",
	  "The domain of the user, where the directory wants one." },
	{ LDAP, TEXT, "user", S(ldap.user), "", 0, 0, NULL,
	  "LDAP Routing: User name",
	  "Who binds, for 'bind simple'." },
	{ LDAP, TEXT, "password", S(ldap.password), "", 0, 0, NULL,
	  "LDAP Routing: Password",
	  "The file whose first line is his password, its owner's alone. Read each time we bind." },
	{ LDAP, YESNO, "clear-text-password", S(ldap.clear_text_password), "no", 0, 0, NULL,
	  "LDAP Routing: Binding, Plain text",
	  "Says the password in clear over the network too, without TLS. Whoever listens on the way has it then." },
	{ LDAP, YESNO, "start-tls", S(ldap.start_tls), "no", 0, 0, NULL,
	  "not in the model",
	  "Goes over to TLS on ldap:// before anything else is said, or does not use that directory. By TLS, however it began, only a directory is "
	  "used whose certificate is believed and is for its name as it stands in 'server'." },
	{ LDAP, TEXT, "ca-file", S(ldap.ca_file), "", 0, 0, NULL,
	  "not in the model",
	  "A file of certificates in PEM, of those who are believed about the directory, instead of those that the system believes." },
	{ LDAP, CERTIFICATES, "certificate", S(ldap.certificate), "", 0, 0, NULL,
	  "not in the model",
	  "Two files in PEM, a certificate of our own and its key: shown to a directory that asks for one." },
	{ LDAP, TEXT, "base", S(ldap.base), "", 0, 0, NULL,
	  "LDAP Routing: Base",
	  "The DN of the entry under which to search." },
	{ LDAP, WORD, "scope", S(ldap.scope), "subtree", 0, 0, "base one subtree",
	  "not in the model",
	  "How far below it: all that is there, or only the entries right below it, or itself." },
	{ LDAP, TIME, "timeout", S(ldap.timeout), "10s", 1000, 600 * 1000, NULL,
	  "not in the model",
	  "How long we wait for a connection, and for each answer, before the directory counts as away." },
	{ LDAP, WORD, "schema", S(naming.schema), "active-directory", 0, 0,
	  "active-directory exchange site-server inet-local-mail nis-alias group-of-names",
	  "LDAP Routing: Schema",
	  "How the directory names people: the filter and the attributes of the settings below, where they are not given. "
	  "With a directory an address in our domains that no file of 'recipients' or 'aliases' has is asked about: "
	  "at RCPT, where nobody of that name means 550 5.1.1, and a directory that does not answer 451 4.4.3; "
	  "and before delivery, for where his mail goes instead, and who is in a group." },
	{ LDAP, NAMES, "filter", S(naming.filters), "", 0, 0, NULL,
	  "not in the model",
	  "The filter that finds an address (RFC 4515); in it %s is the address, %u what stands before its @, %d its domain. "
	  "Of several the next one is asked when those before it have found nothing; and then, of an address in an alias of the default domain, "
	  "all of them for the same name in that. "
	  "Several entries for one address are a mistake in the directory, and mail for it waits until it is mended." },
	{ LDAP, NAMES, "mail-attribute", S(naming.mail), "", 0, 0, NULL,
	  "not in the model",
	  "Attributes with the addresses of an entry, the first one before the others. 'none', here and below, is for no attribute. "
	  "Mail to any address of his goes to his first one in our domains, so that he has one mailbox." },
	{ LDAP, NAMES, "forward-attribute", S(naming.forward), "", 0, 0, NULL,
	  "not in the model",
	  "Attributes with the addresses to which his mail goes instead; one of them may be his own. "
	  "One without a name, such as @example.net, is the same name there." },
	{ LDAP, NAMES, "host-attribute", S(naming.host), "", 0, 0, NULL,
	  "not in the model",
	  "The attribute with the host to which his mail goes, whatever its MX; our own hostname there means that he lives here." },
	{ LDAP, NAMES, "member-attribute", S(naming.member), "", 0, 0, NULL,
	  "not in the model",
	  "Attributes with the members of a group as entries, which are asked for their addresses." },
	{ LDAP, NAMES, "member-address-attribute", S(naming.member_address), "", 0, 0, NULL,
	  "not in the model",
	  "Attributes with the members of a group as addresses." },
	{ LDAP, TEXT, "member-filter", S(naming.member_filter), "", 0, 0, NULL,
	  "not in the model",
	  "Also finds members of a group, where their entries say that they are, such as \"(memberOf=%s)\"; in it %s is the group's DN. "
	  "Asked in pages (RFC 2696), which for large groups is quicker than one question for each member." },
	{ LDAP, NUMBER, "size-limit", S(naming.size_limit), "10000", 1, MEMBERS_MAX, NULL,
	  "not in the model",
	  "How many recipients one address may lead to; who writes to one that leads to more is told so (5.2.4)." },
	{ LDAP, NAMES, "owner-attribute", S(naming.owner), "", 0, 0, NULL,
	  "not in the model",
	  "Attributes with the owner of a group, an entry or an address: reports about what its members get go to him (RFC 5321 3.9.2), "
	  "not to who wrote to the group." },
	{ LDAP, NAMES, "group-class", S(naming.group_class), "", 0, 0, NULL,
	  "not in the model",
	  "The object classes of groups. Who writes to one writes to its members, and theirs where they are groups." },
	{ LDAP, YESNO, "senders", S(naming.senders), "no", 0, 0, NULL,
	  "LDAP Routing: it resolves senders too",
	  "Whether a sender in our domains is asked about too, and becomes the first address of his entry, where he has one. "
	  "That is the sender of the envelope; what a message says in From is left alone. While the directory is away such mail waits." },
	{ LDAP, PAIR, "cache", S(naming.cache), "10m 1m", 0, DAY, "time time",
	  "not in the model",
	  "How long an answer is good, and how long that there is nobody of that name." },
	{ SECURITY, OPERATORS, "operators", S(operators), "", 0, 0, NULL,
	  "Security: Operators",
	  "Who of the top level's operators may operate this server; without it, all. Who stands only here may not. "
	  "Reload, shutdown and status metrics are for all of them." },

	{ DOMAIN, TEXT, "drop", D(drop), "Drop", 0, 0, NULL,
	  "Local domain: Drop directory",
	  "The folder where mail for this domain and its aliases is delivered, relative to the mailroot. In the default domain only. "
	  "'maildir:DIR' is a Maildir, for mail readers; with %u in DIR each recipient has one of his own, named as he is in 'recipients', or by his first address in the directory; "
	  "one of the two must be there then. Its files end lines in LF, and begin with Return-Path and Delivered-To instead of x- lines." },
	{ DOMAIN, SIZE, "quota", D(quota), "unlimited", 1024, UNLIMITED, NULL,
	  "Local domain: Enable drop directory quota",
	  "How many octets the drop folder, or each Maildir, may hold. Beyond it recipients are answered 452 4.2.2 and mail already accepted waits in Queue. "
	  "Off unlike in the model, whose 20 MB surprised people." },
	{ DOMAIN, TEXT, "recipients", D(recipients), "", 0, 0, NULL,
	  "not in the model",
	  "A file of who exists, a name or an address a line, # begins a comment; a name holds in the default domain and its aliases. "
	  "Others are answered 550 5.1.1, or returned when they came by Pickup. "
	  "Aliases and postmaster always exist. Without it everybody does. Read at the start, and at a reload." },
	{ DOMAIN, TEXT, "aliases", D(aliases), "", 0, 0, NULL,
	  "not in the model",
	  "A file of 'NAME: MEMBER, MEMBER ...'; a line that begins with a blank goes on with the one before. "
	  "Members are names, addresses or aliases; one that is the NAME itself is the mailbox behind it. No programs, no files. "
	  "Who is an alias is replaced by his members when the message is taken." },
	{ DOMAIN, YESNO, "allow-relay", D(allow_relay), "no", 0, 0, NULL,
	  "Remote domain: Allow incoming mail to be relayed to this domain",
	  "Lets anybody send to this remote domain, whatever 'relay' says." },
	{ DOMAIN, HOPS, "smart-host", D(smart_host), "", 0, 0, NULL,
	  "Remote domain: Forward all mail to smart host",
	  "Where mail for this domain goes, instead of to its MX or to the server's smart host; written as that one is." },
	{ DOMAIN, YESNO, "helo-only", D(helo_only), "no", 0, 0, NULL,
	  "Remote domain: Send HELO instead of EHLO",
	  "Greet with HELO, and use no extension." },
	{ DOMAIN, YESNO, "hold", D(hold), "no", 0, 0, NULL,
	  "Remote domain: Queue messages for remote triggered delivery",
	  "Mail for this domain waits in Queue until its host asks for it: by ETRN, and what waits by then is sent to the domain's smart-host or MX; "
	  "or, where there are hold-accounts, by ATRN or TURN. The server's smart host is not for such mail. It expires as other mail does." },
	{ DOMAIN, NAMES, "hold-accounts", D(hold_accounts), "", 0, 0, NULL,
	  "Remote domain: Accounts authorized to use ATRN",
	  "Who may collect held mail: an account of this list, once authenticated, by ATRN (RFC 2645) or TURN, on the connection that it asks on. "
	  "With any, ETRN is refused for the domain." },
	{ DOMAIN, EXTENSIONS, "extensions", D(hidden), "", 0, 0, NULL,
	  "not in the model",
	  "What not to use of what is offered there, as '-NAME ...'; the names are those of 'extensions' in messages. "
	  "For a server that offers what it does not do." },
	{ DOMAIN, ACCOUNT, "authenticate", D(account), "", 0, 0, "any plain login scram-sha-256 xoauth2",
	  "Remote domain: Outbound Security, Basic authentication",
	  "As in delivery, with the same default of 'tls': who we are to this domain's smart-host or MX. What is said in delivery is for the server's smart host alone." },
	{ DOMAIN, WORD, "tls", D(tls_policy), "", 0, 0, "off opportunistic required verified",
	  "Remote domain: Outbound Security, TLS encryption",
	  "As in delivery, for this domain's smart-host or MX. The default is what is said there; or 'verified', where 'tls' is not, and 'authenticate' stands here. "
	  "Of mail that is held for accounts: with 'required' or 'verified' it is answered 530 5.7.0 to who asks for it without TLS." },
};

const size_t settings_count = sizeof settings / sizeof *settings;

/* ---- the nearest name ------------------------------------------------------------ */

/* Levenshtein distance, for words short enough; else far. */
static int
distance(const char *a, const char *b)
{
	int row[64], n = (int)strlen(b);

	if (n >= 64 || strlen(a) >= 64)
		return 99;
	for (int j = 0; j <= n; j++)
		row[j] = j;
	for (int i = 1; *a != '\0'; a++, i++) {
		int corner = row[0];

		row[0] = i;
		for (int j = 1; j <= n; j++) {
			int best = corner + (*a != b[j - 1]);

			corner = row[j];
			if (best > row[j] + 1)
				best = row[j] + 1;
			row[j] = best > row[j - 1] + 1 ? row[j - 1] + 1 : best;
		}
	}
	return row[n];
}

const char *
setting_nearest(enum block block, const char *word)
{
	const char *best = NULL;
	int least = strlen(word) < 5 ? 2 : 4;

	for (size_t i = 0; i < settings_count; i++)
		if (settings[i].block == block && distance(word, settings[i].name) < least) {
			best = settings[i].name;
			least = distance(word, best);
		}
	return best;
}

/* ---- what a value can be ------------------------------------------------------------ */

struct setting
setting_part(const struct setting *s, int i)
{
	struct setting one = *s;
	const char *kind = s->kind == PAIR ? s->words + (i == 0 ? 0 : strcspn(s->words, " ") + 1) : "";

	if (s->kind == PAIR) {
		one.kind = *kind == 'n' ? NUMBER : *kind == 's' ? SIZE : TIME;
		one.max = one.kind == NUMBER && s->max != UNLIMITED ? 1000 : s->max;
		one.min = one.kind == TIME ? 1000 : one.kind == SIZE ? 1024 : 0;
	} else if (s->kind == TIMES)
		one.kind = TIME;
	else if (s->kind == LOG)
		one.kind = SIZE;
	return one;
}

/* As it would be written, in the largest unit that has no fraction. */
static const char *
amount(char out[24], enum value_kind kind, long long n)
{
	static const struct { enum value_kind kind; char unit; long long of; } units[] = {
		{ SIZE, 'G', 1 << 30 }, { SIZE, 'M', 1 << 20 }, { SIZE, 'K', 1 << 10 },
		{ TIME, 'd', DAY }, { TIME, 'h', 3600 * 1000 }, { TIME, 'm', 60 * 1000 }, { TIME, 's', 1000 }
	};
	size_t count = sizeof units / sizeof *units, i = 0;

	while (i < count && (units[i].kind != kind || n < units[i].of || n % units[i].of != 0))
		i++;
	if (n == UNLIMITED)
		snprintf(out, 24, "unlimited");
	else if (i < count)
		snprintf(out, 24, "%lld%c", n / units[i].of, units[i].unit);
	else
		snprintf(out, 24, "%lld%s", n, kind == TIME ? "s" : "");
	return out;
}

char *
setting_range(char out[RANGE_SIZE], const struct setting *s)
{
	char least[24], most[24], part[2][RANGE_SIZE];
	struct setting one = setting_part(s, 0), two = setting_part(s, 1);

	if (s->kind == PAIR)
		snprintf(out, RANGE_SIZE, "%.36s, and %.36s", setting_range(part[0], &one), setting_range(part[1], &two));
	else if (s->kind == YESNO || s->kind == WORD)
		snprintf(out, RANGE_SIZE, "%s", s->kind == WORD ? s->words : "yes no");
	else if (s->max == 0)
		out[0] = '\0';
	else if (s->max == UNLIMITED - 1)
		snprintf(out, RANGE_SIZE, "%sat least %s", s->kind == LOG ? "a size of " : "", amount(least, one.kind, s->min));
	else
		snprintf(out, RANGE_SIZE, "%s to %s", amount(least, one.kind, s->min), amount(most, one.kind, s->max));
	return out;
}

/* The default, in words where it cannot be written. */
static const char *
preset(const struct setting *s)
{
	return s->preset == NULL ? s->words : *s->preset ? s->preset : "none";
}

/* ---- the table, printed ---------------------------------------------------------------------- */

/* The schemas, below the setting that names one. */
static void
schemas_print(const struct setting *s, const char *prefix)
{
	for (size_t i = 0; strcmp(s->name, "schema") == 0 && i < schemas_count; i++) {
		const struct schema *c = &schemas[i];
		char line[400], more[40];
		const char *const row[][2] = { { "filter", c->filter }, { "mail-attribute", c->mail }, { "forward-attribute", c->forward },
		    { "host-attribute", c->host }, { "member-attribute", c->member }, { "member-address-attribute", c->member_address },
		    { "owner-attribute", c->owner }, { "group-class", c->group_class } };

		printf("%s%s:\n", prefix, c->name);
		for (size_t j = 0; j < sizeof row / sizeof *row; j++)
			if (*row[j][1] != '\0') {
				snprintf(line, sizeof line, "%s %s", row[j][0], row[j][1]);
				snprintf(more, sizeof more, "%s ", prefix);
				text_wrapped(more, more, line);
			}
	}
}

static void
explain_row(const struct setting *s)
{
	const char *value = s->preset ? s->preset : "", *indent = s->block == TOP ? "" : "        ";
	char prefix[12], range[RANGE_SIZE], line[200];

	snprintf(prefix, sizeof prefix, "%s# ", indent);
	printf("\n");
	text_wrapped(prefix, prefix, s->label);
	text_wrapped(prefix, prefix, s->text);
	schemas_print(s, prefix);
	snprintf(line, sizeof line, "Values: %s", setting_range(range, s));
	if (*range != '\0')
		text_wrapped(prefix, prefix, line);
	snprintf(line, sizeof line, "%s%s%s", s->name, *value ? " " : "", value);
	if (*value && strlen(indent) + strlen(line) < 80)
		printf("%s%s\n", indent, line);
	else
		text_wrapped(prefix, prefix, line);	/* no default; or one too long, and then it is the default anyway */
}

static void
explain_block(enum block b)
{
	bool any = false;

	for (size_t i = 0; i < settings_count; i++) {
		if (settings[i].block != b || settings[i].kind == LATER)
			continue;
		if (!any && b == DOMAIN)
			printf("    domain example.com default {\n");
		else if (!any && b != TOP)
			printf("    %s {\n", block_name[b]);
		if (b == DOMAIN && settings[i].offset == D(allow_relay))
			printf("    }\n    domain example.org alias\n    domain *.partner.example remote {\n");
		any = true;
		explain_row(&settings[i]);
	}
	if (b == TOP)
		printf("\nserver \"Default SMTP Virtual Server\" {\n");
	else if (any)
		printf("    }\n");
}

int
settings_explain(const char *name)
{
	char range[RANGE_SIZE], line[200];
	bool found = false;

	if (name == NULL || strcmp(name, block_name[SERVER]) == 0) {
		printf("# smtpd.conf - every setting, its default and its meaning.\n"
		    "# Blocks are named as the tabs of the model's property sheet.\n");
		for (int b = TOP; b < BLOCKS; b++)
			explain_block((enum block)b);
		printf("}\n");
		return 0;
	}
	if (strcmp(name, "include") == 0) {
		printf("include FILE, in top level\n    What is in FILE stands here.\n");
		return 0;
	}
	for (int b = GENERAL; b < BLOCKS; b++)
		if (strcmp(name, block_name[b]) == 0) {
			explain_block((enum block)b);
			return 0;
		}
	for (size_t i = 0; i < settings_count; i++) {
		const struct setting *s = &settings[i];

		if (strcmp(s->name, name) != 0 || s->kind == LATER)
			continue;
		printf("%s, in %s\n", s->name, block_name[s->block]);
		text_wrapped("    ", "    ", s->text);
		schemas_print(s, "    ");
		if (*setting_range(range, s) != '\0')
			printf("    Values: %s\n", range);
		snprintf(line, sizeof line, "Default: %s", preset(s));
		text_wrapped("    ", "    ", line);
		printf("    (%s)\n", s->label);
		found = true;
	}
	if (!found)
		log_line("smtpd: no setting is called '%s'; 'smtpd explain' prints them all", text_shown(name));
	return found ? 0 : -1;
}

/* In mdoc a sentence has a line of its own, and must not begin with a quote. */
static void
sentences(const char *text)
{
	const char *end;

	for (; (end = strstr(text, ". ")) != NULL; text = end + 2)
		printf("\\&%.*s.\n", (int)(end - text), text);
	printf("\\&%s\n", text);
}

void
settings_manual(void)
{
	enum block b = BLOCKS;
	char range[RANGE_SIZE];

	for (size_t i = 0; i < settings_count; i++) {
		const struct setting *s = &settings[i];

		if (s->kind == LATER)
			continue;
		if (s->block != b)
			printf("%s.Ss %s\n.Bl -tag -width Ds\n", i == 0 ? "" : ".El\n", block_name[s->block]);
		b = s->block;
		printf(".It Ic %s\n", s->name);
		sentences(s->text);
		if (strcmp(s->name, "schema") == 0) {
			printf(".Bd -literal\n");
			schemas_print(s, "");
			printf(".Ed\n");
		}
		if (*setting_range(range, s) != '\0')
			printf("Values:\n.Li \"%s\" .\n", range);
		if (s->preset != NULL)
			printf("Default:\n.Li \"%s\" .\n", preset(s));
	}
	printf(".El\n");
}
