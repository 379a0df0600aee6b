//! What engines compute with, one folder an operation.

pub(crate) mod conv3x3;
