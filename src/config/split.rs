//! Cuts a text at its virtual servers, so that a large one need not stand in memory as one tree of values (which is
//! thirty times the size of the text).

use std::ops::Range;

const HEADER: &str = "[[virtual_server]]";

/// A text cut in pieces that mean, parsed one by one, what the text means.
#[derive(Debug)]
pub(super) struct Pieces {
    /// What is no virtual server, in order.
    others: Vec<Range<usize>>,
    /// From one `[[virtual_server]]` to the next, with the tables inside.
    pub(super) virtual_servers: Vec<Range<usize>>,
}

impl Pieces {
    /// A text in one piece.
    pub(super) fn whole(text: &str) -> Self {
        Self { others: std::iter::once(0..text.len()).collect(), virtual_servers: Vec::new() }
    }

    /// What of the text is no virtual server.
    pub(super) fn others<'t>(&self, text: &'t str) -> impl Iterator<Item = &'t str> {
        self.others.iter().map(|range| &text[range.clone()])
    }

    /// The same as one text, with blanks in place of the virtual servers before it: everything is where it was.
    pub(super) fn rest(&self, text: &str) -> String {
        let mut rest = String::new();
        for range in &self.others {
            rest.extend(std::iter::repeat_n(' ', range.start - rest.len()));
            rest.push_str(&text[range.clone()]);
        }
        rest
    }
}

/// Looks at lines only. Where that could be wrong (strings over several lines, a virtual server in another notation,
/// one that goes on behind another table) the answer is `None`, and the text has to be parsed whole.
pub(super) fn split(text: &str) -> Option<Pieces> {
    if text.contains("\"\"\"") || text.contains("'''") {
        return None;
    }
    let mut virtual_servers: Vec<Range<usize>> = Vec::new();
    // Under another table's header a key belongs to that table, whatever it is called.
    let (mut inside, mut at_root) = (false, true);
    let mut offset = 0;
    for line in text.split_inclusive('\n') {
        let end = offset + line.len();
        if line.starts_with(HEADER) {
            virtual_servers.push(offset..end);
            (inside, at_root) = (true, false);
        } else if line.trim_start().starts_with('[') {
            let belongs = line.contains("virtual_server");
            let usual = line.trim_start().trim_start_matches('[').starts_with("virtual_server.");
            if belongs && !(usual && inside) {
                return None;
            }
            (inside, at_root) = (belongs, false);
        } else if at_root && line.contains("virtual_server") && !line.trim_start().starts_with('#') {
            return None;
        }
        if inside && let Some(current) = virtual_servers.last_mut() {
            current.end = end;
        }
        offset = end;
    }

    let ends = virtual_servers.iter().map(|range| range.end);
    let starts = virtual_servers.iter().map(|range| range.start).chain([text.len()]);
    let others = std::iter::once(0).chain(ends).zip(starts).map(|(start, end)| start..end);
    Some(Pieces { others: others.filter(|range| !range.is_empty()).collect(), virtual_servers })
}
