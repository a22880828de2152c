//! The lakesync program: a door to `cli`.

use std::process::ExitCode;
use std::time::Duration;

use lakesync::cli::{Invocation, World};

fn main() -> ExitCode {
    let invocation = match Invocation::read(World::of_this_process()) {
        Ok(invocation) => invocation,
        Err(exit) => return exit,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("lakesync")
        .build();
    match runtime {
        Ok(runtime) => {
            let exit = runtime.block_on(invocation.run());
            // What still reads a file or waits for a name server has nothing left to do; it must not hold the process.
            runtime.shutdown_timeout(Duration::from_millis(100));
            exit
        }
        Err(error) => invocation.give_up(error),
    }
}
