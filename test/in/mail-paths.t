# Reverse-paths of every kind: RFC 5321, sections 4.1.2 and 4.1.3. Each is answered as it was understood.
S: 220 *
C: EHLO client.example
S* 250 *
C: MAIL FROM:<smith@example.com>
S: 250 2.1.0 <smith@example.com> sender ok
C: RSET
S: 250 *
C: mail from:<smith@example.com>
S: 250 2.1.0 *
C: RSET
S: 250 *
# Spaces that the standard has not, and clients have.
C: MAIL FROM:  <smith@example.com>  
S: 250 2.1.0 *
C: RSET
S: 250 *
C: MAIL FROM:<"john smith"@example.com>
S: 250 2.1.0 <"john smith"@example.com> sender ok
C: RSET
S: 250 *
C: MAIL FROM:<"john\"@\\<smith>"@example.com>
S: 250 2.1.0 <"john\"@\\<smith>"@example.com> sender ok
C: RSET
S: 250 *
C: MAIL FROM:<!#$%&'*+-/=?^_`{|}~@example.com>
S: 250 2.1.0 <!#$%&'*+-/=?^_`{|}~@example.com> sender ok
C: RSET
S: 250 *
C: MAIL FROM:<smith@[192.0.2.1]>
S: 250 2.1.0 <smith@[192.0.2.1]> sender ok
C: RSET
S: 250 *
C: MAIL FROM:<smith@[IPv6:2001:db8::1]>
S: 250 2.1.0 <smith@[IPv6:2001:db8::1]> sender ok
C: RSET
S: 250 *
# A local part alone is one of ours.
C: MAIL FROM:<smith>
S: 250 2.1.0 <smith@example.org> sender ok
C: RSET
S: 250 *
# Local parts of more than 64 octets are real: section 4.5.3.1.1 would refuse them, we do not. A thousand is enough;
# a reply does not get longer than 512 octets for it: section 4.5.3.1.5.
X: MAIL FROM:<
L: 400 x
X: @example.com>\r\n
S: 250 2.1.0 <xxx*xxx@example.com> sender ok
C: RSET
S: 250 *
X: MAIL FROM:<
L: 1000 x
X: @example.com>\r\n
S: 250 2.1.0 <xxx*xxx
C: RSET
S: 250 *
X: MAIL FROM:<
L: 1020 x
X: @example.com>\r\n
S: 501 5.1.7 That is no sender's address
C: QUIT
S: 221 *
E:
