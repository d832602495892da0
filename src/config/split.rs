//! Cuts a text at its virtual servers, so that a large one need not stand in memory as one tree of values (which is
//! thirty times the size of the text).

use std::ops::Range;

const HEADER: &str = "[[virtual_server]]";

/// A text cut in pieces that mean, parsed one by one, what the text means.
#[derive(Debug)]
pub(super) struct Pieces {
    /// The text with blanks in place of the virtual servers; everything else is where it was.
    pub(super) rest: String,
    /// From one `[[virtual_server]]` to the next, with the tables inside.
    pub(super) virtual_servers: Vec<Range<usize>>,
}

/// Looks at lines only. Where that could be wrong (strings over several lines, a virtual server in another notation,
/// one that goes on behind another table) the answer is `None`, and the text has to be parsed whole.
pub(super) fn split(text: &str) -> Option<Pieces> {
    if text.contains("\"\"\"") || text.contains("'''") {
        return None;
    }
    let mut virtual_servers: Vec<Range<usize>> = Vec::new();
    let mut inside = false;
    let mut offset = 0;
    for line in text.split_inclusive('\n') {
        let end = offset + line.len();
        if line.starts_with(HEADER) {
            virtual_servers.push(offset..end);
            inside = true;
        } else if line.trim_start().starts_with('[') {
            let belongs = line.contains("virtual_server");
            let usual = line.trim_start().trim_start_matches('[').starts_with("virtual_server.");
            if belongs && !(usual && inside) {
                return None;
            }
            inside = belongs;
        } else if !inside && line.contains("virtual_server") && !line.trim_start().starts_with('#') {
            return None;
        }
        if inside && let Some(current) = virtual_servers.last_mut() {
            current.end = end;
        }
        offset = end;
    }

    let mut rest = String::with_capacity(text.len());
    for piece in &virtual_servers {
        rest.push_str(&text[rest.len()..piece.start]);
        rest.extend(std::iter::repeat_n(' ', piece.len()));
    }
    rest.push_str(&text[rest.len()..]);
    Some(Pieces { rest, virtual_servers })
}
