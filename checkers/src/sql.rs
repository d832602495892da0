//! Databases: a login, and a query if there is one.

mod mysql;
mod postgres;

use crate::dialogue::Pattern;
use crate::stream::{Stream, Tls};
use crate::trace::Trace;
use crate::{Login, Outcome, Target, TlsSpec, text};

/// How to ask a database.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SqlSpec {
    /// Which protocol to speak.
    pub protocol: SqlProtocol,
    /// Who logs in.
    pub login: Login,
    /// What is opened; none: what the server opens by itself.
    pub database: Option<String>,
    /// A query, of which the first value of the first row is looked at. It fails where it returns no row.
    pub query: Option<String>,
    /// What that value must match.
    pub expect: Option<Pattern>,
    /// TLS, asked for before the login.
    pub tls: Option<TlsSpec>,
}

/// Protocols of databases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SqlProtocol {
    /// MySQL and MariaDB.
    Mysql,
    /// PostgreSQL.
    Postgres,
}

/// The most bytes that one message of the server may have.
const MOST: usize = 64 << 10;

/// Logs in and asks. Either result is the outcome; an error ended it early.
pub(crate) async fn ask(
    target: &Target,
    spec: &SqlSpec,
    tls: Option<&Tls>,
    trace: &Trace,
) -> Result<Outcome, Outcome> {
    talk(Stream::connect(target, trace).await?, spec, tls, trace).await
}

/// What is said over a connection that stands.
pub(crate) async fn talk(
    stream: Stream,
    spec: &SqlSpec,
    tls: Option<&Tls>,
    trace: &Trace,
) -> Result<Outcome, Outcome> {
    let answer = match spec.protocol {
        SqlProtocol::Mysql => mysql::talk(stream, spec, tls, trace).await?,
        SqlProtocol::Postgres => postgres::talk(stream, spec, tls).await?,
    };
    match answer {
        Answer::None => Ok(Outcome::Passed(String::new())),
        Answer::NoRow => Err(Outcome::WrongAnswer("the query returned no row".to_owned())),
        Answer::Row(value) => judge(value.as_deref(), spec.expect.as_ref()),
    }
}

/// What came of the query.
enum Answer {
    /// There was none to be answered with rows.
    None,
    NoRow,
    /// The first value of the first row; none is NULL.
    Row(Option<Vec<u8>>),
}

fn judge(value: Option<&[u8]>, expect: Option<&Pattern>) -> Result<Outcome, Outcome> {
    let shown = value.map_or_else(|| "NULL".to_owned(), text::quote);
    match expect {
        Some(expect) if !value.is_some_and(|value| expect.0.is_match(value)) => {
            let wanted = text::quote(expect.0.as_str().as_bytes());
            Err(Outcome::WrongAnswer(format!("the query returned {shown} instead of {wanted}")))
        }
        _ => Ok(Outcome::Passed(String::new())),
    }
}
