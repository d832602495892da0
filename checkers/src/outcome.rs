//! What came of a check.

/// What came of one check, with what an operator needs to act on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The server answered as it should; the text says what it answered (`200 OK`) and may be empty.
    Passed(String),
    /// The same, and what weight the server should have.
    Advised(String, Advice),
    /// The connection was refused.
    Refused,
    /// The connection was reset or closed early; the text says at which step.
    Reset(String),
    /// No connection within the deadline.
    ConnectTimeout,
    /// A connection, but no complete answer within the deadline; the text says what was there by then.
    AnswerTimeout(String),
    /// The network said that the server cannot be reached; the text says how.
    Unreachable(String),
    /// TLS could not be agreed on or the certificate is not acceptable; the text says why.
    Tls(String),
    /// An answer, but not the expected one; the text says what came instead of what.
    WrongAnswer(String),
    /// The check could not be run for a reason of our own; it says nothing about the server.
    NotRun(String),
}

/// What weight a check asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Advice {
    /// This one.
    Weight(u32),
    /// So many hundredths of the configured weight, rounded up; over 100 for more of it.
    Percent(u32),
}
