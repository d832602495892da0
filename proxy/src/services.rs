//! One thread's services: its listeners and where it stands in each.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use slab::Slab;

use crate::ServiceKey;
use crate::pool::Pool;
use crate::scheduler::Cursor;

pub(crate) struct Entry {
    pub(crate) pool: Arc<Pool>,
    pub(crate) listener: Option<OwnedFd>,
    pub(crate) cursor: Cursor,
    /// In the table. If not, the entry is only here for the connections that it still has.
    published: bool,
    connections: usize,
}

#[derive(Default)]
pub(crate) struct Services {
    entries: Slab<Entry>,
    by_key: BTreeMap<ServiceKey, usize>,
}

impl Services {
    pub(crate) fn get(&mut self, index: usize) -> Option<&mut Entry> {
        self.entries.get_mut(index)
    }

    pub(crate) fn keys(&self) -> Vec<(ServiceKey, usize)> {
        self.by_key.iter().map(|(key, index)| (*key, *index)).collect()
    }

    pub(crate) fn find(&mut self, key: ServiceKey) -> Option<(usize, &mut Entry)> {
        let index = *self.by_key.get(&key)?;
        Some((index, self.entries.get_mut(index)?))
    }

    /// Adds a service or changes it in place. True if it is not as it was.
    pub(crate) fn put(&mut self, pool: &Arc<Pool>, thread: usize) -> bool {
        let key = pool.service.key;
        let entry = match self.find(key) {
            Some((_, entry)) => {
                entry.published = true;
                if Arc::ptr_eq(&entry.pool, pool) {
                    return false;
                }
                let before = std::mem::replace(&mut entry.pool, Arc::clone(pool));
                if before.has_schedule_of(pool) {
                    return true;
                }
                entry
            }
            None => {
                let index = self.entries.insert(Entry {
                    pool: Arc::clone(pool),
                    listener: None,
                    cursor: Cursor::new(thread),
                    published: true,
                    connections: 0,
                });
                self.by_key.insert(key, index);
                &mut self.entries[index]
            }
        };
        entry.cursor.restart(&pool.service.destinations);
        true
    }

    /// Takes a service out of the table; its connections go on.
    pub(crate) fn withdraw(&mut self, index: usize) {
        if let Some(entry) = self.entries.get_mut(index) {
            entry.listener = None;
            entry.published = false;
        }
        self.forget_if_unused(index);
    }

    /// A connection has come.
    pub(crate) fn enter(&mut self, index: usize) {
        if let Some(entry) = self.entries.get_mut(index) {
            entry.connections += 1;
        }
    }

    /// A connection has gone.
    pub(crate) fn leave(&mut self, index: usize) {
        if let Some(entry) = self.entries.get_mut(index) {
            entry.connections -= 1;
        }
        self.forget_if_unused(index);
    }

    fn forget_if_unused(&mut self, index: usize) {
        if self.entries.get(index).is_some_and(|entry| !entry.published && entry.connections == 0) {
            let entry = self.entries.remove(index);
            self.by_key.remove(&entry.pool.service.key);
        }
    }
}
