//! Functions answered by a real model. `scripts/test` starts one (see `scripts/local-llm`) and passes its URL in `LLMPOOL_TEST_REAL_URL`; without the
//! variable the tests print that they were skipped.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a failed unwrap is a failed test; a skip is printed"
)]

use llmpool::function::schemars::{self, JsonSchema};
use llmpool::function::{FunctionError, StreamedPart};
use llmpool::{AnswerFormat, ApiKeyPool, LlmInterface, OpenAiCompatible, TargetSettings, llm_function};

#[derive(Clone, Debug, PartialEq, serde::Deserialize, JsonSchema)]
#[schemars(crate = "schemars")]
struct Person {
    name: String,
    /// In years.
    age: u32,
    is_adult: bool,
}

/// Who is the person in this sentence? Give the name, the age, and whether the person is an adult.
#[llm_function(temperature = 0.0, max_tokens = 96, repairs = 3)]
async fn person(llm: &dyn LlmInterface, sentence: &str) -> Result<Person, FunctionError>;

const NAMES: [&str; 20] = [
    "Anna", "Ben", "Clara", "David", "Emma", "Frank", "Grace", "Henry", "Iris", "Jack", "Kate", "Leo",
    "Mary", "Nick", "Olga", "Paul", "Rosa", "Sam", "Tina", "Victor",
];

/// The names, each with a sentence about a person.
fn sentences() -> impl Iterator<Item = (&'static str, String)> {
    let ages = (20..).step_by(3);
    NAMES
        .iter()
        .zip(ages)
        .map(|(name, age)| (*name, format!("{name} is {age} years old.")))
}

fn model(structured_output: Option<AnswerFormat>) -> Option<OpenAiCompatible> {
    let Ok(url) = std::env::var("LLMPOOL_TEST_REAL_URL") else {
        println!("skipped: LLMPOOL_TEST_REAL_URL is not set");
        return None;
    };
    let keys =
        std::env::var("LLMPOOL_TEST_REAL_KEYS").expect("LLMPOOL_TEST_REAL_KEYS is set together with the URL");
    let pool = ApiKeyPool::new("local", keys.split(',')).unwrap();
    let settings = TargetSettings {
        structured_output,
        ..TargetSettings::default()
    };
    let model = OpenAiCompatible::builder(&pool, "smollm2-135m-instruct", &url).settings(settings);
    Some(model.build().unwrap())
}

#[tokio::test]
async fn real_model_answers_20_of_20_function_calls_with_a_schema() {
    let Some(model) = model(None) else { return };
    for (name, sentence) in sentences() {
        let reply = person(&model, &sentence).report().await.unwrap();
        assert_eq!((reply.repairs, reply.calls.len()), (0, 1), "{:?}", reply.value);
        assert_eq!(reply.value.name, name);
    }
}

/// Without a schema that the server enforces, a model of this size does not always answer. Prints how often.
#[tokio::test]
async fn real_model_answers_without_an_enforced_schema() {
    for format in [AnswerFormat::JsonObject, AnswerFormat::Text] {
        let Some(model) = model(Some(format)) else { return };
        let (mut first, mut repaired, mut failed) = (0, 0, 0);
        for (_, sentence) in sentences() {
            match person(&model, &sentence).report().await {
                Ok(reply) if reply.repairs == 0 => first += 1,
                Ok(_) => repaired += 1,
                Err(error) => {
                    println!(
                        "{error} {:?}",
                        error.unusable().map(|reply| reply.text().to_owned())
                    );
                    failed += 1;
                }
            }
        }
        println!(
            "{}: {first} at once, {repaired} repaired, {failed} failed",
            format.as_str()
        );
        assert!(first + repaired >= 10, "{}", format.as_str());
    }
}

#[tokio::test]
async fn real_model_streams_the_fields_of_a_function() {
    let Some(model) = model(None) else { return };
    let (_, sentence) = sentences().next().unwrap();
    let mut stream = person(&model, &sentence).stream();
    let mut paths = Vec::new();
    let value = loop {
        match stream.next().await.unwrap().unwrap() {
            StreamedPart::Field(field) => paths.push(field.path()),
            StreamedPart::Value(reply) => break reply.value,
            part => panic!("{part:?}"),
        }
    };
    assert_eq!(paths, ["name", "age", "is_adult"]);
    assert_eq!(value, person(&model, &sentence).await.unwrap());
}
