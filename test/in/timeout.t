#server hasty
# Half a line does not keep a session open: RFC 5321, section 4.5.3.2.7. Here four seconds are all it gets.
S: 220 *
C: EHLO client.example
S* 250 *
X: NOO
S: 421 4.4.2 Nothing heard for too long; closing
E:
