#server closed
# Who may not connect hears it instead of a greeting: RFC 5321, section 3.1.
S: 554 5.7.1 mail.example.org does not accept your connection
E:
