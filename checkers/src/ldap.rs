//! LDAP (RFC 4511): a bind that is accepted, and a search if there is one.

mod filter;
mod message;

use bytes::BytesMut;
use ldap3_lber::structure::StructureTag;

pub use self::filter::LdapFilter;
use self::message::{Answer, Kind};
use crate::stream::{Stream, Tls};
use crate::trace::Trace;
use crate::{Login, Outcome, Security, Target, TlsSpec};

/// How to ask a directory.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LdapSpec {
    /// Who binds, by a distinguished name; none: nobody, an anonymous bind. The password must not be empty: with an
    /// empty one a server lets anybody in (RFC 4513 §5.1.2).
    pub login: Option<Login>,
    /// What is looked for; none: the bind is enough.
    pub search: Option<LdapSearch>,
    /// TLS, from the first byte or by STARTTLS.
    pub security: Security,
}

/// A search, of which entries are counted; no attribute of theirs is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LdapSearch {
    /// The distinguished name where it begins; may be empty: the server's own entry.
    pub base: String,
    /// How far it goes from there.
    pub scope: LdapScope,
    /// Which entries count.
    pub filter: LdapFilter,
    /// The least number of entries, up to 1000.
    pub min_entries: u16,
}

/// How far a search goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LdapScope {
    /// The entry at the base.
    Base,
    /// The entries right below it.
    One,
    /// The base and all below it.
    Sub,
}

impl LdapSpec {
    pub(crate) fn tls(&self) -> Option<&TlsSpec> {
        match &self.security {
            Security::None => None,
            Security::Tls(tls) | Security::StartTls(tls) => Some(tls),
        }
    }
}

/// Messages beside those that were asked for: references to other servers and the like.
const EXTRA: usize = 64;

/// Binds, searches, unbinds. Either result is the outcome; an error ended it early.
pub(crate) async fn ask(
    target: &Target,
    spec: &LdapSpec,
    tls: Option<&Tls>,
    trace: &Trace,
) -> Result<Outcome, Outcome> {
    talk(Stream::connect(target, trace).await?, spec, tls).await
}

/// What is said over a connection that stands.
pub(crate) async fn talk(stream: Stream, spec: &LdapSpec, tls: Option<&Tls>) -> Result<Outcome, Outcome> {
    let mut connection = Connection { stream, id: 0 };
    if let Some(tls) = tls {
        if let Security::StartTls(_) = spec.security {
            connection.start_tls().await?;
        }
        connection.stream = connection.stream.start_tls(tls).await?;
    }
    connection.bind(spec.login.as_ref()).await?;
    let said = match &spec.search {
        Some(search) => connection.search(search).await?,
        None => String::new(),
    };
    let unbind = connection.numbered(message::unbind())?;
    connection.stream.send(&unbind).await?;
    Ok(Outcome::Passed(said))
}

struct Connection {
    stream: Stream,
    /// Of the last request.
    id: u8,
}

impl Connection {
    async fn start_tls(&mut self) -> Result<(), Outcome> {
        let answer = self.ask(message::start_tls(), Kind::Extended, "answer to STARTTLS").await?;
        answer.accepted().map_err(|why| Outcome::Tls(format!("the server refused STARTTLS: {why}")))
    }

    async fn bind(&mut self, login: Option<&Login>) -> Result<(), Outcome> {
        let answer = self.ask(message::bind(login), Kind::Bind, "answer to the bind").await?;
        answer.accepted().map_err(|why| Outcome::WrongAnswer(format!("the bind was refused: {why}")))
    }

    async fn search(&mut self, search: &LdapSearch) -> Result<String, Outcome> {
        self.begin(message::search(search), "answer to the search").await?;
        let least = usize::from(search.min_entries);
        let mut entries = 0;
        for _ in 0..least + EXTRA {
            let answer = self.receive().await?;
            match answer.kind {
                Kind::Entry => entries += 1,
                Kind::Reference | Kind::Intermediate => {}
                Kind::Done => {
                    let short = format!("{} instead of at least {least}", counted(entries));
                    return match answer.found() {
                        Ok(()) if entries >= least => Ok(counted(entries)),
                        Ok(()) => Err(Outcome::WrongAnswer(short)),
                        Err(why) => Err(Outcome::WrongAnswer(format!("the search was refused: {why}"))),
                    };
                }
                Kind::Bind | Kind::Extended => return Err(unexpected("answer to the search")),
            }
        }
        Err(Outcome::WrongAnswer("the search does not end, although few entries were asked for".to_owned()))
    }

    /// Sends a request that has one answer.
    async fn ask(&mut self, request: StructureTag, kind: Kind, what: &str) -> Result<Answer, Outcome> {
        self.begin(request, what).await?;
        let answer = self.receive().await?;
        if answer.kind == kind { Ok(answer) } else { Err(unexpected(what)) }
    }

    async fn begin(&mut self, request: StructureTag, what: &str) -> Result<(), Outcome> {
        let request = self.numbered(request)?;
        self.stream.ask(&request, what).await
    }

    fn numbered(&mut self, request: StructureTag) -> Result<BytesMut, Outcome> {
        self.id += 1;
        message::encode(self.id, request)
    }

    async fn receive(&mut self) -> Result<Answer, Outcome> {
        let mut message = BytesMut::new();
        loop {
            match message::missing(&message).map_err(Outcome::WrongAnswer)? {
                0 => return Answer::read(&message, self.id).map_err(Outcome::WrongAnswer),
                more => message.extend_from_slice(&self.stream.exactly(more).await?),
            }
        }
    }
}

fn unexpected(what: &str) -> Outcome {
    Outcome::WrongAnswer(format!("the {what} is a message that has no place there"))
}

fn counted(entries: usize) -> String {
    if entries == 1 { "1 entry".to_owned() } else { format!("{entries} entries") }
}
