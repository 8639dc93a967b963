//! Client-side cost of a call and of a streamed event, in instructions and allocations.
//!
//! Run by `scripts/bench`, which requires valgrind: it runs each case twice under callgrind, with few and with many calls or
//! events, and divides the difference, so that one-time costs cancel out. Allocations are counted by this program in the same
//! way. The server is a separate process and is not counted. `floor-*` is the same exchange with plain hyper.
//!
//! Manually: `client run CASE CALLS EVENTS` prints the allocations of the calls. `client limiter OPERATION KEYS CALLS`
//! repeats one operation of the limiter. `client sizes` prints the time per byte of large answers.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench prints to the terminal, and a failed unwrap is a failed bench"
)]

mod cases;
mod limiter_costs;
mod permits;
mod server;
mod sizes;

use std::alloc::System;

use limiter_costs::Operation;
use permits::{Permits, Waiters};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["serve"] => server::serve(),
        ["run", "permit-4", calls, _] => permits(4, Permits::new(4), calls.parse().unwrap()),
        ["run", "permit-10000", calls, _] => permits(10_000, Permits::new(10_000), calls.parse().unwrap()),
        ["run", "permit-all", calls, _] => permits(4, Permits::with_all_limits(4), calls.parse().unwrap()),
        ["run", "cancel-1000", calls, _] => cancel(1000, calls.parse().unwrap()),
        ["run", "cancel-100000", calls, _] => cancel(100_000, calls.parse().unwrap()),
        ["limiter", name, keys, calls] => {
            let mut operation = Operation::new(name, keys.parse().unwrap());
            (0..calls.parse().unwrap()).for_each(|_: u32| operation.repeat());
        }
        ["sizes"] => sizes::print(),
        ["limiter-operations"] => println!("{}", limiter_costs::NAMES.join(" ")),
        ["waiters", waiters] => println!("{}", bytes_for_each_of(waiters.parse().unwrap())),
        ["run", case, calls, events] => run(case, calls.parse().unwrap(), events.parse().unwrap()),
        // `cargo bench` alone: nothing is measured without callgrind around it.
        _ => println!("see scripts/bench; cases: {}", cases::NAMES.join(" ")),
    }
}

fn permits(keys: usize, mut permits: Permits, calls: usize) {
    // Uses every key, so that all collections have reached their size.
    (0..keys * 2).for_each(|_| permits.use_one());
    let region = Region::new(ALLOCATOR);
    (0..calls).for_each(|_| permits.use_one());
    let change = region.change();
    println!("{} {}", change.allocations, change.reallocations);
}

fn cancel(waiters: usize, calls: usize) {
    let mut waiters = Waiters::new(waiters);
    waiters.acquire_all();
    let region = Region::new(ALLOCATOR);
    waiters.cancel(calls);
    let change = region.change();
    println!("{} {}", change.allocations, change.reallocations);
}

fn bytes_for_each_of(waiters: usize) -> usize {
    let mut desk = Waiters::new(waiters);
    let region = Region::new(ALLOCATOR);
    desk.acquire_all();
    let change = region.change();
    (change.bytes_allocated - change.bytes_deallocated) / waiters
}

fn run(case: &str, calls: usize, events: usize) {
    let server = server::Running::start();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let client = cases::Client::new(case, server.port, events).await;
        // The first call opens the connection and fills caches.
        client.call().await;
        let region = Region::new(ALLOCATOR);
        for _ in 0..calls {
            client.call().await;
        }
        let change = region.change();
        println!("{} {}", change.allocations, change.reallocations);
    });
}
