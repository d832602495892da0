//! On a virtual clock.
