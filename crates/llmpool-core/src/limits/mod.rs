//! What may be used, by whom, and when again.
//!
//! A [`ledger::Ledger`] decides; a [`room::Room`] says whose turn it is to ask. Both are plain values: the shell puts one
//! lock around them and adds wakers.

pub mod affinity;
pub mod bucket;
mod condition;
pub mod desk;
pub mod fair;
mod forbidden;
pub mod key;
mod key_heap;
mod key_ring;
mod key_set;
pub mod kinship;
pub mod learned;
pub mod ledger;
pub mod meter;
pub mod quota;
pub mod room;
pub mod window;
