//! Names of everything that is stored.

mod key;

pub use key::{JobId, ObjectKey, PlanKey};
