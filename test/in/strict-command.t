#server strict
# `line-endings reject`, in a command.
S: 220 *
C: EHLO client.example
S* 250 *
X: NOOP\nNOOP\r\n
S: 550 5.5.2 A line ended without CR LF
E:
