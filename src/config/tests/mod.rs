//! What is read, what stands for what is not written, and that no text can break the reader.

mod advice;
mod again;
mod datagrams;
mod defaults;
mod dns;
mod files;
mod ipvs;
mod properties;
mod protocols;
mod radius;
mod rules;
mod text_protocols;
mod vrrp;

use std::path::Path;
use std::sync::Arc;

use super::{Mistakes, Model, VirtualServer, parse};

fn read(text: &str) -> Result<Model, Mistakes> {
    parse(Path::new("test.toml"), text)
}

/// A virtual server with further keys and tables.
fn with(keys: &str) -> String {
    format!(
        "[[virtual_server]]\nname = \"web\"\nlisten = \"192.0.2.10:80\"\nreal_server = [{{ address = \
         \"10.1.0.2:8080\" }}]\n{keys}\n"
    )
}

fn right(text: &str) -> Model {
    read(text).unwrap_or_else(|mistakes| panic!("{text}\n{mistakes}"))
}

fn server(keys: &str) -> Arc<VirtualServer> {
    right(&with(keys)).virtual_servers[0].clone()
}

/// The messages only.
fn wrong(text: &str) -> Vec<String> {
    let mistakes = read(text).expect_err(text);
    mistakes.shown().iter().map(|mistake| mistake.message.clone()).collect()
}

/// The one mistake is the one that is expected.
fn refused(keys: &str, because: &str) {
    let mistakes = wrong(&with(keys));
    assert!(matches!(mistakes.as_slice(), [one] if one.contains(because)), "{keys}: {mistakes:?}");
}
