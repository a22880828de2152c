//! lakeFS: a stand-in server that is held to recorded answers of a real one, the real one where somebody has it, and
//! what tests need to speak to either.

mod both;
pub mod http;
mod knobs;
pub mod real;
pub mod receiver;
pub mod recorded;
mod replay;
pub mod repository;
pub mod server;
pub mod standin;
