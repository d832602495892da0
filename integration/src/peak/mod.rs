//! A pool at its peak: real servers with few workers and a full queue, and clients that do not wait for ever.
//!
//! What is measured is what the project exists for: answers by real servers per second while more is asked than
//! they can answer, and afterwards.

mod clients;
mod servers;
mod site;

use std::fmt::Write as _;
use std::net::SocketAddr;

pub use clients::{Answers, Clients, Phase};
pub use servers::{Server, Servers};
pub use site::{Place, Site};

/// The peak that ends a pool of eight servers as they are by default, which are good for 80 a second.
pub const PEAK: [Phase; 3] = [
    Phase { rate: 40.0, seconds: 10 },
    Phase { rate: 110.0, seconds: 20 },
    Phase { rate: 60.0, seconds: 20 },
];

/// A virtual server `web` of these real servers, with an HTTP check every two seconds, and more lines for both.
pub fn virtual_server(listen: SocketAddr, real_servers: &[SocketAddr], lines: &str, check: &str) -> String {
    let mut text = format!(
        "[[virtual_server]]\nname = \"web\"\nlisten = \"{listen}\"\nscheduler = \"wlc\"\n{lines}\n\
         [virtual_server.check]\ntype = \"http\"\npath = \"/health\"\ninterval = \"2s\"\n{check}\n"
    );
    for address in real_servers {
        let _ = writeln!(text, "[[virtual_server.real_server]]\naddress = \"{address}\"");
    }
    text
}
