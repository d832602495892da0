//! The query of a check, and which messages answer it.

use hickory_proto::op::{Message, MessageType, OpCode, Query as Question};

use super::{DnsName, DnsRecord, DnsSpec};
use crate::Outcome;

/// A query with an id that nobody can guess (RFC 5452 §4.3).
#[derive(Debug)]
pub(super) struct Query {
    name: DnsName,
    record: DnsRecord,
    id: u16,
    bytes: Vec<u8>,
}

impl Query {
    pub(super) fn new(spec: &DnsSpec) -> Result<Self, Outcome> {
        let mut message = Message::query();
        message.metadata.recursion_desired = spec.recursion;
        message.add_query(Question::query(spec.name.0.clone(), spec.record.0));
        let bytes =
            message.to_vec().map_err(|error| Outcome::NotRun(format!("cannot make the query: {error}")))?;
        Ok(Self { name: spec.name.clone(), record: spec.record, id: message.metadata.id, bytes })
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// As it goes over a stream. A query has far less than 64 KiB.
    pub(super) fn framed(&self) -> Vec<u8> {
        [&(self.bytes.len() as u16).to_be_bytes(), self.bytes.as_slice()].concat()
    }

    /// What the query waits for.
    pub(super) fn awaited(&self, transport: &str) -> String {
        format!("answer to {} {} over {transport}", self.record, self.name)
    }

    /// The answer to this query, or why it is none.
    pub(super) fn read(&self, bytes: &[u8]) -> Result<Message, String> {
        // Before it is read room is made for as many questions as it says that it has, 5 MiB for 65,535.
        let questions = bytes.get(4..6).map_or(0, |count| u16::from_be_bytes([count[0], count[1]]));
        if questions > 1 {
            return Err(format!("a message with {questions} questions"));
        }
        let message = Message::from_vec(bytes).map_err(|error| {
            let text = crate::text::quote(error.to_string().as_bytes());
            format!("{} bytes that are no DNS message: {text}", bytes.len())
        })?;
        let header = &message.metadata;
        if header.id != self.id {
            return Err(format!("a message with the id {} instead of {}", header.id, self.id));
        }
        if (header.message_type, header.op_code) != (MessageType::Response, OpCode::Query) {
            return Err("a message that is not the answer to a query".to_owned());
        }
        // A server that could not read the query may leave out the question.
        let asked = Question::query(self.name.0.clone(), self.record.0);
        match message.queries.as_slice() {
            [one] if *one == asked => Ok(message),
            [] if message.answers.is_empty() => Ok(message),
            _ => Err(format!("an answer to another question than {} {}", self.record, self.name)),
        }
    }
}
