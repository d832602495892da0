//! A strict reader of tables: whatever was not asked for is a mistake, and a mistake does not stop it.

use std::sync::LazyLock;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::place::{At, Part, Place};
use super::values::{self, describe};

/// A table of which each key is taken once.
#[derive(Debug)]
pub(super) struct Table<'a> {
    part: Part<'a>,
    entries: &'a DeTable<'a>,
    /// Its header, or all of it when it is written in line.
    pub(super) place: Place,
    /// What it is called in messages: `[[virtual_server]]`.
    name: &'static str,
    known: Vec<&'static str>,
}

impl<'a> Table<'a> {
    pub(super) fn new(part: Part<'a>, entries: &'a DeTable<'a>, place: Place, name: &'static str) -> Self {
        Self { part, entries, place, name, known: Vec::with_capacity(8) }
    }

    pub(super) fn note(&self, place: Place, message: impl Into<String>) {
        self.part.notes.add(place, message);
    }

    /// How many mistakes there are so far, in all tables.
    pub(super) fn mistakes(&self) -> usize {
        self.part.notes.count()
    }

    /// Whether all of the text around it is TOML, so that what is missing was not written.
    pub(super) fn whole(&self) -> bool {
        !self.part.broken
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    pub(super) fn has_table(&self, key: &str) -> bool {
        self.entries.get(key).is_some_and(|value| value.get_ref().is_table())
    }

    /// The value of a key; a value that `parse` does not like is a mistake and counts as not written.
    pub(super) fn take<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&DeValue<'a>) -> Result<T, String>,
    ) -> Option<At<T>> {
        let value = self.find(key)?;
        self.parse(key, value, parse)
    }

    /// The same for a key that must be written.
    pub(super) fn require<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&DeValue<'a>) -> Result<T, String>,
    ) -> Option<At<T>> {
        if !self.has(key) && self.whole() {
            self.note(self.place, format!("{} needs `{key}`", self.name));
        }
        self.take(key, parse)
    }

    /// A value or a list of values, of which those that `parse` does not like are left out.
    pub(super) fn list<T>(
        &mut self,
        key: &'static str,
        parse: impl Fn(&DeValue<'a>) -> Result<T, String>,
    ) -> Vec<At<T>> {
        let Some(value) = self.find(key) else { return Vec::new() };
        match value.get_ref() {
            DeValue::Array(array) => {
                self.not_empty(array, key, value);
                array.iter().filter_map(|value| self.parse(key, value, &parse)).collect()
            }
            _ => self.parse(key, value, parse).into_iter().collect(),
        }
    }

    /// A table within this one.
    pub(super) fn table(&mut self, key: &'static str, name: &'static str) -> Option<Table<'a>> {
        let value = self.find(key)?;
        self.nested(value, key, name)
    }

    /// What stands for a table within this one that is not written.
    pub(super) fn empty(&self, name: &'static str) -> Table<'a> {
        static NOTHING: LazyLock<DeTable<'static>> = LazyLock::new(DeTable::default);
        Table::new(self.part, &NOTHING, self.place, name)
    }

    /// A table or an array of tables within this one.
    pub(super) fn tables(&mut self, key: &'static str, name: &'static str) -> Vec<Table<'a>> {
        let Some(value) = self.find(key) else { return Vec::new() };
        match value.get_ref() {
            DeValue::Array(array) => {
                self.not_empty(array, key, value);
                array.iter().filter_map(|value| self.nested(value, key, name)).collect()
            }
            _ => self.nested(value, key, name).into_iter().collect(),
        }
    }

    /// An array of tables, and nothing else, within this one.
    pub(super) fn array_of_tables(&mut self, key: &'static str, name: &'static str) -> Vec<Table<'a>> {
        match self.entries.get_key_value(key) {
            Some((written, value)) if value.get_ref().is_table() => {
                self.known.push(key);
                self.note(
                    self.part.place(written.span()),
                    format!("there may be several of these: each begins with {name}"),
                );
                Vec::new()
            }
            _ => self.tables(key, name),
        }
    }

    /// All keys and values of a table whose keys are free, in the order in which they are written.
    pub(super) fn free<T>(mut self, parse: impl Fn(&str, &DeValue<'a>) -> Result<T, String>) -> Vec<T> {
        let mut entries: Vec<_> = self.entries.iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        self.known.clear();
        let parse = |(key, value): (&Spanned<_>, &Spanned<_>)| {
            let key: &std::borrow::Cow<'_, str> = key.get_ref();
            parse(key, value.get_ref()).map_err(|why| self.note(self.part.place(value.span()), why)).ok()
        };
        entries.into_iter().filter_map(parse).collect()
    }

    /// A key that is known but must not be here.
    pub(super) fn refuse(&mut self, key: &'static str, why: impl Into<String>) {
        self.known.push(key);
        if let Some((key, _)) = self.entries.get_key_value(key) {
            self.note(self.part.place(key.span()), why);
        }
    }

    /// A key that is known but not looked at.
    pub(super) fn pass_over(&mut self, key: &'static str) {
        self.known.push(key);
    }

    /// The keys that are written and were not asked for.
    pub(super) fn unread(&self) -> Vec<&'a str> {
        let written = self.entries.keys().map(|key| -> &'a str { key.get_ref() });
        written.filter(|key| !self.known.contains(key)).collect()
    }

    /// Every key that was not asked for is a mistake.
    pub(super) fn finish(self) {
        for key in self.entries.keys() {
            let written: &str = key.get_ref();
            if !self.known.contains(&written) {
                let hint = values::did_you_mean(written, self.known.iter().copied());
                self.note(
                    self.part.place(key.span()),
                    format!("unknown key {} in {}{hint}", values::quoted(written), self.name),
                );
            }
        }
    }

    fn not_empty(&self, array: &[Spanned<DeValue<'a>>], key: &str, value: &Spanned<DeValue<'a>>) {
        if array.is_empty() {
            self.note(self.part.place(value.span()), format!("`{key}` must not be empty"));
        }
    }

    fn find(&mut self, key: &'static str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.known.push(key);
        // The parser puts an empty value where a syntax error left none.
        self.entries.get(key).filter(|value| !value.span().is_empty())
    }

    fn parse<T>(
        &self,
        key: &str,
        value: &Spanned<DeValue<'a>>,
        parse: impl FnOnce(&DeValue<'a>) -> Result<T, String>,
    ) -> Option<At<T>> {
        let place = self.part.place(value.span());
        match parse(value.get_ref()) {
            Ok(value) => Some(At { value, place }),
            Err(why) => {
                self.note(place, format!("`{key}` {why}"));
                None
            }
        }
    }

    fn nested(&self, value: &'a Spanned<DeValue<'a>>, key: &str, name: &'static str) -> Option<Table<'a>> {
        let place = self.part.place(value.span());
        match value.get_ref() {
            DeValue::Table(entries) => Some(Table::new(self.part, entries, place, name)),
            other => {
                self.note(place, format!("`{key}` must be a table, {name}, not {}", describe(other)));
                None
            }
        }
    }
}
