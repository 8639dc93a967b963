//! Memory that waiting calls and models named at run time occupy.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a failed unwrap is a failed test, and the measured values are printed"
)]

mod support;

use std::alloc::System;
use std::future::{Future, poll_fn};
use std::ops::Range;
use std::pin::Pin;
use std::task::Poll;

use llmpool::chat::ChatRequest;
use llmpool::{
    ApiKeyPool, CallOptions, Limits, LlmInterface, OpenAiCompatible, Providers, RateLimit, TargetSettings,
};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use support::{Action, ScriptedProvider, completion, error};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// The allocator counts the whole process, so only one test measures at a time.
static MEASURING: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

const CALLS: usize = 1000;

fn allocated(region: &Region<'_, System>) -> isize {
    let change = region.change();
    change.bytes_allocated as isize - change.bytes_deallocated as isize
}

// reproduction 16
#[tokio::test(start_paused = true)]
async fn waiting_call_takes_little_memory_beside_its_request() {
    let _alone = MEASURING.lock().await;
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
    let encoded = script.received.lock().unwrap()[0].body.to_string().len() as isize;
    assert!(each(of_calls) <= 2048 + encoded, "{}", each(of_calls));
}

// reproduction 16
#[tokio::test(start_paused = true)]
async fn models_named_at_run_time_leave_no_memory_behind() {
    let _alone = MEASURING.lock().await;
    let env = |name: &str| match name {
        "OPENAI_API_KEY" => Some("sk-x".to_owned()),
        "OPENAI_BASE_URL" => Some("http://127.0.0.1:9/v1".to_owned()),
        _ => None,
    };
    let providers = Providers::from_env_with(&env).unwrap().unwrap();
    assert_released("of the environment", async |name| {
        providers.model(&name).unwrap();
    })
    .await;

    let script = ScriptedProvider::new(|_, _| Action::Send(error(404, "", "model_not_found")));
    let pool = ApiKeyPool::new("p", ["a", "b"]).unwrap();
    assert_released("of a pool", async |name| {
        let builder = OpenAiCompatible::builder(&pool, &name, "http://scripted/v1");
        let model = builder.connector(script.clone()).build().unwrap();
        if name.ends_with('0') {
            model.chat(&ChatRequest::user("hi")).await.unwrap_err();
            script.received.lock().unwrap().clear();
        }
    })
    .await;
}

async fn assert_released(kind: &str, use_model: impl AsyncFn(String)) {
    let use_models = async |names: Range<usize>| {
        for number in names {
            use_model(format!("model-{number}")).await;
        }
    };
    use_models(0..1000).await;
    let region = Region::new(ALLOCATOR);
    use_models(1000..11_000).await;
    let held = allocated(&region) / 10_000;
    println!("a released model {kind} leaves {held} bytes");
    assert!(held <= 20, "{kind}: {held} bytes for each model");
}
