//! `clearfleet submit` and `clearfleet watch` against a server that speaks the HTTP contract and fails as told.

mod call;
mod proxy;
mod stub;
mod submit;
mod watch;
