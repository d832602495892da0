//! What an epoll event is about, in 64 bits.

const INDEX_BITS: u32 = 32;
const SERIAL_BITS: u32 = 28;
const SERIALS: u32 = 1 << SERIAL_BITS;

/// The serial number tells a connection from an earlier one that had its index, and from its own earlier
/// attempts: an event may still be in the batch when what it is about is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Token {
    /// Commands have come.
    Wake,
    /// Of a service.
    Listener(usize),
    /// The client's side of a connection.
    Client(usize, Serial),
    /// The real server's side of a connection.
    Server(usize, Serial),
    /// The real server's side of a UDP session.
    Session(usize, Serial),
}

/// Counts attempts, and comes round after 2^28.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Serial(u32);

impl Serial {
    pub(crate) fn advance(&mut self) -> Serial {
        self.0 = (self.0 + 1) % SERIALS;
        *self
    }
}

impl Token {
    pub(crate) fn pack(self) -> u64 {
        let (kind, index, serial) = match self {
            Token::Wake => (0, 0, Serial(0)),
            Token::Listener(index) => (1, index, Serial(0)),
            Token::Client(index, serial) => (2, index, serial),
            Token::Server(index, serial) => (3, index, serial),
            Token::Session(index, serial) => (4, index, serial),
        };
        (kind << (INDEX_BITS + SERIAL_BITS)) | (u64::from(serial.0) << INDEX_BITS) | index as u64
    }

    pub(crate) fn unpack(bits: u64) -> Token {
        let index = (bits & u64::from(u32::MAX)) as usize;
        let serial = Serial((bits >> INDEX_BITS) as u32 % SERIALS);
        match bits >> (INDEX_BITS + SERIAL_BITS) {
            1 => Token::Listener(index),
            2 => Token::Client(index, serial),
            3 => Token::Server(index, serial),
            4 => Token::Session(index, serial),
            _ => Token::Wake,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_come_back_as_they_went() {
        let last = Serial(SERIALS - 1);
        for token in [
            Token::Wake,
            Token::Listener(7),
            Token::Client(u32::MAX as usize, last),
            Token::Server(1, Serial(2)),
            Token::Session(0, last),
        ] {
            assert_eq!(Token::unpack(token.pack()), token);
        }
        assert_eq!(last.clone().advance(), Serial(0));
    }
}
