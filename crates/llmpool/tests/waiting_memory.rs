//! Memory that a waiting call occupies.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a failed unwrap is a failed test, and the measured value is printed"
)]

mod support;

use std::alloc::System;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

use llmpool::chat::ChatRequest;
use llmpool::{ApiKeyPool, CallOptions, Limits, LlmInterface, OpenAiCompatible, RateLimit, TargetSettings};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use support::{Action, ScriptedProvider, completion};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const CALLS: usize = 1000;

fn allocated(region: &Region<'_, System>) -> isize {
    let change = region.change();
    change.bytes_allocated as isize - change.bytes_deallocated as isize
}

// reproduction 16
#[tokio::test(start_paused = true)]
async fn waiting_call_takes_little_memory_beside_its_request() {
    let script = ScriptedProvider::new(|_, _| Action::Send(completion("ok")));
    let limits = Limits {
        rate_limit: Some(RateLimit::new(1, 0.1).unwrap()),
        ..Limits::default()
    };
    let settings = TargetSettings {
        limits,
        ..TargetSettings::default()
    };
    let pool = ApiKeyPool::new("p", ["a"]).unwrap();
    let target = OpenAiCompatible::builder(&pool, "m", "http://scripted/v1")
        .settings(settings)
        .connector(script.clone())
        .build()
        .unwrap();
    let request = ChatRequest::user("hi");
    target.chat(&request).await.unwrap();
    let options = CallOptions {
        timeout: Some(std::time::Duration::from_secs(100_000)),
        ..CallOptions::default()
    };

    let region = Region::new(ALLOCATOR);
    let requests: Vec<_> = (0..CALLS).map(|_| request.clone()).collect();
    let of_requests = allocated(&region);
    let region = Region::new(ALLOCATOR);
    let mut calls: Vec<Pin<Box<dyn Future<Output = _>>>> = Vec::with_capacity(CALLS);
    for request in &requests {
        calls.push(Box::pin(target.chat_with(request, &options)));
    }
    let of_futures = allocated(&region);
    for call in &mut calls {
        assert!(poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx).is_pending())).await);
    }
    let of_calls = allocated(&region);
    let each = |bytes: isize| bytes / CALLS as isize;
    println!(
        "a request takes {} bytes, its waiting call {}, of which the future {}",
        each(of_requests),
        each(of_calls),
        each(of_futures)
    );
    assert!(
        each(of_calls - of_futures) <= 1000,
        "{}",
        each(of_calls - of_futures)
    );
}
