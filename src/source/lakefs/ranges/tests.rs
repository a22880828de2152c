//! The reader against what a real lakeFS server wrote, and against what nobody should write.

mod cached;
mod changed;
mod damaged;
mod folders;
mod mutations;
mod read_whole;
mod recorded;
mod recording;
mod round_trip;
