//! How many idle connections are kept, and for how long. Time is paused.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

use std::time::Duration;

use llmpool::chat::ChatRequest;
use llmpool::{ApiKeyPool, LlmInterface, OpenAiCompatible};
use support::{Action, ScriptedProvider, completion};
use tokio::time::sleep;

const SECOND: Duration = Duration::from_secs(1);

/// Returns a target whose provider answers after a second.
fn slow_target() -> OpenAiCompatible {
    let script = ScriptedProvider::new(|_, _| Action::SendAfter(SECOND, completion("ok")));
    OpenAiCompatible::builder(&ApiKeyPool::new("p", ["k"]).unwrap(), "m", "http://scripted/v1")
        .connector(script)
        .build()
        .unwrap()
}

async fn call_at_once(target: &OpenAiCompatible, count: usize) {
    let calls: Vec<_> = (0..count)
        .map(|_| {
            let target = target.clone();
            tokio::spawn(async move { target.chat(&ChatRequest::user("hi")).await.map(drop) })
        })
        .collect();
    for call in calls {
        call.await.unwrap().unwrap();
    }
}

/// The provider serves each open connection in a task, and the library starts none.
async fn open_connections() -> usize {
    sleep(Duration::from_millis(1)).await;
    tokio::runtime::Handle::current().metrics().num_alive_tasks()
}

#[tokio::test(start_paused = true)]
async fn at_most_256_idle_connections_are_kept() {
    let target = slow_target();
    call_at_once(&target, 300).await;
    assert_eq!(open_connections().await, 256);
}

#[tokio::test(start_paused = true)]
async fn connection_that_was_idle_for_90_seconds_is_closed() {
    let target = slow_target();
    call_at_once(&target, 2).await;
    sleep(60 * SECOND).await;
    call_at_once(&target, 1).await;
    assert_eq!(open_connections().await, 2);
    sleep(40 * SECOND).await;
    call_at_once(&target, 1).await;
    assert_eq!(
        open_connections().await,
        1,
        "only the one that was used after 60 s"
    );
    drop(target);
    assert_eq!(open_connections().await, 0);
}
