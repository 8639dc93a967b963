//! The schema of a function is made once: later calls allocate the same for a small and for a large schema.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::alloc::System;

use llmpool::function::FunctionError;
use llmpool::function::schemars::{self, JsonSchema};
use llmpool::testing::ScriptedModel;
use llmpool::{LlmInterface, llm_function};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, Stats, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

type Result<T, E = FunctionError> = std::result::Result<T, E>;

macro_rules! struct_of {
    ($name:ident: $($field:ident)*) => {
        #[derive(serde::Deserialize, JsonSchema)]
        #[schemars(crate = "schemars")]
        #[expect(dead_code, reason = "only its schema is used")]
        struct $name {
            $(
                /// A field with a description that makes the schema longer: one sentence about what it contains.
                $field: Option<Vec<String>>,
            )*
        }
    };
}

struct_of!(Small: a);
struct_of!(Large: a b c d e f g h i j k l m n o p q r s t u v w x y z aa bb cc dd ee ff gg hh ii jj kk ll mm nn oo pp);

/// Answer.
#[llm_function]
async fn small(llm: &dyn LlmInterface, question: &str) -> Result<Small>;

/// Answer.
#[llm_function]
async fn large(llm: &dyn LlmInterface, question: &str) -> Result<Large>;

/// Returns what the second call of `prompt` allocates.
fn allocated(mut prompt: impl FnMut() -> usize) -> (Stats, usize) {
    let length = prompt();
    let region = Region::new(ALLOCATOR);
    prompt();
    (region.change(), length)
}

#[test]
fn later_calls_allocate_nothing_for_the_schema() {
    let model = ScriptedModel::new([]);
    let length = |prompt: llmpool::function::Prompt| prompt.schema().unwrap().get().len();
    let (small, small_schema) = allocated(|| length(small(&model, "Why?").prompt().unwrap()));
    let (large, large_schema) = allocated(|| length(large(&model, "Why?").prompt().unwrap()));
    assert!(large_schema > 10 * small_schema);
    assert_eq!(
        (small.allocations, small.bytes_allocated),
        (large.allocations, large.bytes_allocated),
    );
}
