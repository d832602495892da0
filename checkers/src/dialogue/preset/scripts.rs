//! What is said in each protocol, and what is expected in return.

use super::answer::Answer::{self, Code, Line, Tagged};
use super::{Preset, Script, Turn};

impl Preset {
    pub(super) fn script(self) -> &'static Script {
        match self {
            Self::Smtp | Self::Submission => &SMTP,
            Self::Imap => &IMAP,
            Self::Pop3 => &POP3,
            Self::Ftp => &FTP,
            Self::Nntp => &NNTP,
            Self::Redis => &REDIS,
            Self::Memcached => &MEMCACHED,
            Self::Sieve => &SIEVE,
        }
    }
}

const fn turn(say: &'static str, of: &'static str, answer: Answer) -> Turn {
    Turn { of, say, answer }
}

static SMTP: Script = Script {
    greeting: &[turn("", "greeting", Code("220"))],
    hello: &[turn("EHLO {helo}\r\n", "answer to EHLO", Code("250"))],
    start_tls: Some(turn("STARTTLS\r\n", "answer to STARTTLS", Code("220"))),
    greets_again: false,
    login: &[turn("AUTH PLAIN {plain}\r\n", "answer to AUTH", Code("235"))],
    end: &[turn("QUIT\r\n", "answer to QUIT", Code("221"))],
};

static IMAP: Script = Script {
    greeting: &[turn("", "greeting", Line("* OK"))],
    hello: &[],
    start_tls: Some(turn("a1 STARTTLS\r\n", "answer to STARTTLS", Tagged("a1"))),
    greets_again: false,
    login: &[turn("a2 LOGIN {quoted}\r\n", "answer to LOGIN", Tagged("a2"))],
    end: &[
        turn("a3 NOOP\r\n", "answer to NOOP", Tagged("a3")),
        turn("a4 LOGOUT\r\n", "answer to LOGOUT", Line("* BYE")),
    ],
};

static POP3: Script = Script {
    greeting: &[turn("", "greeting", Line("+OK"))],
    hello: &[],
    start_tls: Some(turn("STLS\r\n", "answer to STLS", Line("+OK"))),
    greets_again: false,
    login: &[
        turn("USER {name}\r\n", "answer to USER", Line("+OK")),
        turn("PASS {password}\r\n", "answer to PASS", Line("+OK")),
    ],
    end: &[turn("QUIT\r\n", "answer to QUIT", Line("+OK"))],
};

static FTP: Script = Script {
    greeting: &[turn("", "greeting", Code("220"))],
    hello: &[],
    start_tls: Some(turn("AUTH TLS\r\n", "answer to AUTH TLS", Code("234"))),
    greets_again: false,
    login: &[
        turn("USER {name}\r\n", "answer to USER", Code("331|230")),
        turn("PASS {password}\r\n", "answer to PASS", Code("230|202")),
    ],
    end: &[turn("QUIT\r\n", "answer to QUIT", Code("221"))],
};

static NNTP: Script = Script {
    // 201: reading only.
    greeting: &[turn("", "greeting", Code("200|201"))],
    hello: &[],
    start_tls: Some(turn("STARTTLS\r\n", "answer to STARTTLS", Code("382"))),
    greets_again: false,
    login: &[
        turn("AUTHINFO USER {name}\r\n", "answer to AUTHINFO USER", Code("381")),
        turn("AUTHINFO PASS {password}\r\n", "answer to AUTHINFO PASS", Code("281")),
    ],
    end: &[turn("QUIT\r\n", "answer to QUIT", Code("205"))],
};

static REDIS: Script = Script {
    greeting: &[],
    hello: &[],
    start_tls: None,
    greets_again: false,
    login: &[turn("AUTH {quoted}\r\n", "answer to AUTH", Line("+OK"))],
    end: &[turn("PING\r\n", "answer to PING", Line("+PONG"))],
};

static MEMCACHED: Script = Script {
    greeting: &[],
    hello: &[],
    start_tls: None,
    greets_again: false,
    // The first thing that is stored on a connection is who one is.
    login: &[turn("set auth 0 0 {length}\r\n{name} {password}\r\n", "answer to the login", Line("STORED"))],
    end: &[turn("version\r\n", "answer to version", Line("VERSION"))],
};

static SIEVE: Script = Script {
    greeting: &[turn("", "greeting", Answer::Sieve)],
    hello: &[],
    start_tls: Some(turn("STARTTLS\r\n", "answer to STARTTLS", Answer::Sieve)),
    greets_again: true,
    login: &[turn("AUTHENTICATE \"PLAIN\" \"{plain}\"\r\n", "answer to AUTHENTICATE", Answer::Sieve)],
    end: &[turn("LOGOUT\r\n", "answer to LOGOUT", Answer::Sieve)],
};
