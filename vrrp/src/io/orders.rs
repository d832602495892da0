//! What VRRP's thread wants of the keeper.

use std::sync::Arc;

/// What follows from a machine's actions besides adverts. Routers are called by their names.
///
/// Called on VRRP's thread, which may be a realtime one: no call may wait, log, or take a lock that another thread
/// holds while it can be preempted. Something like a lock-free queue and an eventfd does. What cannot be done is the
/// keeper's to repeat and to report.
pub trait Orders: Send + 'static {
    /// The router's addresses and what belongs to them are to be here; also when the holding has changed.
    fn hold(&self, router: &Arc<str>);
    /// The addresses are to be announced once they are there.
    fn announce(&self, router: &Arc<str>);
    /// Nothing of the router is to be here.
    fn release(&self, router: &Arc<str>);
}
