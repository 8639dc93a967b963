//! Paces any work with a token bucket: a burst of 2, then 10 per second. No provider is needed.

use std::error::Error;
use std::time::{Duration, Instant};

use llmpool::TokenBucket;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let bucket = TokenBucket::new(2, 10.0)?;
    let start = Instant::now();
    for number in 1..=5 {
        bucket.acquire(1, None).await?;
        println!("job {number} after {:.1} s", start.elapsed().as_secs_f64());
    }
    // Fails at once: two more tokens are available only after 200 ms.
    if let Err(error) = bucket.acquire(2, Some(Duration::from_millis(50))).await {
        println!("{error}");
    }
    Ok(())
}
