//! TOML files, read into a [`Model`] that is right, or into all their mistakes at once.
//!
//! ```text
//! load    files and includes, bounded in size; never waits for anything but a disk
//! split   one piece of text per virtual server
//! again   what stands as before is not read anew
//! reader  strict tables over the `toml` crate's tree; a mistake is noted and reading goes on
//! director, ipvs, virtual_server, real_server: one section each, straight into the model
//! check   checks, a file for each type
//! dataplane, listen, forwarding: what differs between the dataplanes
//! vrrp    virtual routers: what they hold, track and tell
//! validate  rules over several values
//! mistake  places become lines and columns, for the mistakes that are shown
//! ```
//!
//! Where a mistake is noted a default takes the value's place, so that everything else is looked at too; the model
//! is handed out only when nothing was noted.

mod again;
mod check;
mod command;
mod dataplane;
mod director;
mod forwarding;
mod ipvs;
mod listen;
mod load;
mod mistake;
mod model;
mod place;
mod reader;
mod real_server;
mod regex;
mod secret;
pub(crate) mod show;
mod split;
#[cfg(test)]
mod tests;
mod validate;
mod values;
mod virtual_server;
mod vrrp;

use std::cell::Cell;
use std::collections::{BTreeMap, HashSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tidegate_checkers::{Pattern, PemFile, Spec};
use toml::de::DeTable;

pub use again::Loader;
use again::{Again, Known, Surroundings};
use check::CheckKeys;
pub(crate) use check::question;
pub use director::CONTROL_SOCKET;
use load::Files;
pub(crate) use load::open as open_regular;
pub use mistake::{Mistake, Mistakes};
pub use model::*;
use place::{At, Notes, Part};
use reader::Table;
use split::Pieces;
pub(crate) use values::parse_duration;

/// Reads a file and what it includes.
///
/// Bounded: 16 MiB in all files together, includes 16 deep. Only regular files are read.
pub fn load(path: &Path) -> Result<Model, Mistakes> {
    Loader::default().load(path)
}

/// Reads a text that may not include others; `name` stands for the file in mistakes. Touches no file: whether those
/// that the text names exist is not looked at.
pub fn parse(name: &Path, text: &str) -> Result<Model, Mistakes> {
    let notes = Notes::default();
    let mut files = Files::default();
    let main = files.add(name, text.to_owned());
    let nothing = Known::new();
    let mut reading = Reading::new(&notes, false, Again::new(&nothing));
    reading.file(&mut files, &[main]);
    let (model, _) = reading.finish();
    Mistakes::new(notes.into_inner(), &files.texts).map_or(Ok(model), Err)
}

/// A configuration while it is read.
#[derive(Debug)]
struct Reading<'n> {
    notes: &'n Notes,
    /// Whether files that the configuration names may be looked at.
    with_files: bool,
    director: Director,
    virtual_servers: Vec<Arc<VirtualServer>>,
    virtual_routers: Vec<At<VirtualRouter>>,
    context: Context,
    again: Again<'n>,
}

/// What sections know besides their own table.
#[derive(Debug, Default)]
struct Context {
    /// See [`Context::folder`].
    folder: Option<PathBuf>,
    /// Files were looked at that may be others at the next reading.
    looked_at_files: Cell<bool>,
    defaults: CheckKeys,
    /// What must be unique, and where it is written.
    names: Vec<At<Arc<str>>>,
    listens: Vec<At<(Listen, DataplaneKind, Arc<str>)>>,
    /// What many checks have in common is stored once.
    specs: HashSet<Arc<Spec>>,
    check_names: HashSet<Arc<str>>,
    /// The virtual server that is being read, and its first address.
    served: (Arc<str>, Option<SocketAddr>),
    regexes: BTreeMap<String, ::regex::Regex>,
    patterns: BTreeMap<String, Pattern>,
    /// Files that were looked at, and whether they are of use.
    pem_files: BTreeMap<(PathBuf, PemFile), Result<(), String>>,
    /// What virtual routers track, by name.
    watches: BTreeMap<Arc<str>, Watch>,
    /// Names that must exist.
    tracked_virtual_servers: Vec<At<Arc<str>>>,
    followed: Vec<At<Arc<str>>>,
}

impl<'n> Reading<'n> {
    fn new(notes: &'n Notes, with_files: bool, again: Again<'n>) -> Self {
        let (director, context) = (Director::default(), Context::default());
        Self {
            notes,
            with_files,
            director,
            virtual_servers: Vec::new(),
            virtual_routers: Vec::new(),
            context,
            again,
        }
    }

    /// The last file of `stack`; the others are those that include it.
    fn file(&mut self, files: &mut Files, stack: &[u32]) {
        let Some((number, (path, text))) =
            stack.last().and_then(|number| Some((*number, files.texts.get(*number as usize)?)))
        else {
            return;
        };
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        self.context.folder = self.with_files.then(|| folder.clone());

        let pieces = split::split(text).unwrap_or_else(|| Pieces::whole(text));
        let main = stack.len() == 1;
        let mut includes = Vec::new();
        self.piece(number, &pieces.rest(text), 0, |reading, root| includes = reading.root(root, main));
        if main {
            self.again.surround(pieces.others(text));
            if self.context.looked_at_files.get() {
                self.again.forget();
            }
        }
        let around = self.again.within(&folder);
        for range in pieces.virtual_servers {
            self.virtual_server(number, &text[range.clone()], range.start, &around);
        }
        if !self.with_files {
            for entry in &includes {
                self.notes.add(entry.place, "a text that is not a file cannot include files");
            }
            return;
        }
        for entry in &includes {
            self.include(files, stack, &folder, entry);
        }
    }

    /// A piece with one virtual server, unless it is known.
    fn virtual_server(&mut self, file: u32, text: &str, base: usize, around: &Surroundings) {
        let digest = around.around(text);
        if let Some(known) = self.again.known(&digest) {
            let part = Part { notes: self.notes, file, base, broken: false };
            self.context.declare(&known, part.place(0..text.len()));
            self.virtual_servers.push(known);
            return;
        }
        self.context.looked_at_files.set(false);
        self.piece(file, text, base, Self::virtual_servers);
        if let Some(read) = self.virtual_servers.last().filter(|_| !self.context.looked_at_files.get()) {
            self.again.remember(digest, read);
        }
    }

    /// Parses one piece of a file and hands its tree to `read`.
    fn piece(&mut self, file: u32, text: &str, base: usize, read: impl FnOnce(&mut Self, &mut Table<'_>)) {
        let notes = self.notes;
        let (tree, errors) = DeTable::parse_recoverable(text);
        let part = Part { notes, file, base, broken: !errors.is_empty() };
        for error in &errors {
            let span = error.span().unwrap_or(text.len()..text.len());
            notes.add_syntax(part.place(span), error.message());
        }
        let mut root = Table::new(part, tree.get_ref(), part.place(0..0), "the configuration");
        read(self, &mut root);
        root.finish();
    }

    /// Everything but the virtual servers that were cut out. Returns what is included.
    fn root(&mut self, root: &mut Table<'_>, main: bool) -> Vec<At<String>> {
        let includes =
            if root.has("include") { root.list("include", values::text(4096)) } else { Vec::new() };
        if main {
            if let Some(table) = root.table("director", "[director]") {
                self.director = director::read(table, &mut self.context);
            }
            if let Some(mut defaults) = root.table("defaults", "[defaults]") {
                if let Some(check) = defaults.table("check", "[defaults.check]") {
                    self.context.defaults = check::defaults(check, &mut self.context);
                }
                defaults.finish();
            }
        } else {
            for key in ["director", "defaults"] {
                root.refuse(key, format!("[{key}] belongs to the main file, and this one is included"));
            }
        }
        for table in root.array_of_tables("vrrp", "[[vrrp]]") {
            self.virtual_routers.push(vrrp::read(table, &mut self.context));
        }
        self.virtual_servers(root);
        includes
    }

    fn virtual_servers(&mut self, root: &mut Table<'_>) {
        for table in root.array_of_tables("virtual_server", "[[virtual_server]]") {
            self.virtual_servers.push(Arc::new(virtual_server::read(table, &mut self.context)));
        }
    }

    fn include(&mut self, files: &mut Files, stack: &[u32], folder: &Path, entry: &At<String>) {
        let refuse = |what: &str, why: String| {
            self.notes.add(entry.place, format!("cannot include \"{what}\": {why}"));
        };
        let paths = match load::expand(folder, &entry.value) {
            Ok(paths) => paths,
            Err(why) => return refuse(&entry.value, why),
        };
        for path in paths {
            match files.read(&path, stack, self.notes) {
                Ok(number) => {
                    let stack: Vec<u32> = stack.iter().copied().chain([number]).collect();
                    self.file(files, &stack);
                }
                Err(why) => {
                    let name = path.strip_prefix(folder).unwrap_or(&path);
                    refuse(&name.display().to_string(), why);
                }
            }
        }
    }

    /// The model, to be used only if nothing was noted, and what the next reading may know of it.
    fn finish(mut self) -> (Model, Known) {
        validate::names(self.notes, &self.context.names);
        validate::listens(self.notes, &self.context.listens);
        vrrp::check(self.notes, &self.virtual_routers, &self.context);
        self.virtual_servers.sort_by(|a, b| a.name.cmp(&b.name));
        let mut virtual_routers: Vec<_> = self.virtual_routers.into_iter().map(|it| it.value).collect();
        virtual_routers.sort_by(|a, b| a.router.name.cmp(&b.router.name));
        let model = Model {
            director: self.director,
            virtual_servers: self.virtual_servers,
            virtual_routers,
            watches: self.context.watches,
        };
        (model, self.again.now)
    }
}

impl Context {
    /// What relative paths are relative to, for who is about to look at a file; none when no file may be looked at.
    fn folder(&self) -> Option<&Path> {
        self.looked_at_files.set(true);
        self.folder.as_deref()
    }

    fn spec(&mut self, spec: Spec) -> Arc<Spec> {
        if let Some(known) = self.specs.get(&spec) {
            return known.clone();
        }
        let spec = Arc::new(spec);
        self.specs.insert(spec.clone());
        spec
    }

    fn check_name(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.check_names.get(name) {
            return known.clone();
        }
        let name: Arc<str> = name.into();
        self.check_names.insert(name.clone());
        name
    }
}
