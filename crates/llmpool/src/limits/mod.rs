//! Waiting for one's turn: the room and the ledger of the core behind one short lock.

mod admission;
mod permit;

pub(crate) use admission::{LONGEST_LINE, Rejection, SharedAdmission};
pub(crate) use permit::Permit;
