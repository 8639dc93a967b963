//! A stand-in for the modules of `llmpool` that the expansions name. It records how it is called.

#![allow(dead_code, reason = "not every test uses all of it")]

/// Stand-in for `llmpool::function`.
pub(crate) mod function {
    use std::fmt::Display;
    use std::marker::PhantomData;
    use std::time::Duration;

    pub(crate) use {schemars, serde};

    use super::tool::CallableTool;

    pub(crate) trait LlmInterface: Sync {}

    pub(crate) struct Model;

    impl LlmInterface for Model {}

    pub(crate) enum Piece {
        Text(&'static str),
        Argument(&'static str),
    }

    /// Stand-in for `Function` and `ChatFunction`.
    pub(crate) struct Function<R> {
        name: &'static str,
        pieces: &'static [Piece],
        result: PhantomData<fn() -> R>,
    }

    pub(crate) type ChatFunction<R> = ChatDescription<R>;

    pub(crate) struct ChatDescription<R>(Function<R>);

    impl<R> Function<R> {
        pub(crate) const fn new(name: &'static str, pieces: &'static [Piece]) -> Self {
            Self {
                name,
                pieces,
                result: PhantomData,
            }
        }

        pub(crate) fn call<'llm>(&'static self, llm: &'llm dyn LlmInterface) -> Call<'llm, R> {
            let _ = llm;
            let pieces = self.pieces.iter().map(|piece| match piece {
                Piece::Text(text) => format!("text {text}"),
                Piece::Argument(name) => format!("placeholder {name}"),
            });
            let log = std::iter::once(format!("call {}", self.name))
                .chain(pieces)
                .collect();
            Call {
                log,
                model: PhantomData,
                result: PhantomData,
            }
        }
    }

    impl<R> ChatDescription<R> {
        pub(crate) const fn new(name: &'static str, pieces: &'static [Piece]) -> Self {
            Self(Function::new(name, pieces))
        }

        pub(crate) fn call<'llm>(
            &'static self,
            llm: &'llm dyn LlmInterface,
            history: &[String],
        ) -> ChatCall<'llm, R> {
            ChatCall(self.0.call(llm).with(format!("history {}", history.len())))
        }
    }

    #[must_use]
    pub(crate) struct ChatCall<'llm, R>(pub(crate) Call<'llm, R>);

    impl<R> ChatCall<'_, R> {
        pub(crate) fn argument(self, name: &str, value: &impl serde::Serialize) -> Self {
            Self(self.0.argument(name, value))
        }
        pub(crate) fn rounds(self, rounds: u32) -> Self {
            Self(self.0.rounds(rounds))
        }
    }

    /// Records the builder calls.
    #[must_use]
    pub(crate) struct Call<'llm, R> {
        pub(crate) log: Vec<String>,
        model: PhantomData<&'llm dyn LlmInterface>,
        result: PhantomData<fn() -> R>,
    }

    pub(crate) trait Returned {
        type Value;
    }

    impl<T: serde::de::DeserializeOwned + schemars::JsonSchema, E> Returned for Result<T, E> {
        type Value = T;
    }

    impl<R> Call<'_, R> {
        fn with(mut self, entry: String) -> Self {
            self.log.push(entry);
            self
        }
        pub(crate) fn argument(self, name: &str, value: &impl serde::Serialize) -> Self {
            let value = serde_json::to_string(value).unwrap_or_default();
            self.with(format!("argument {name} {value}"))
        }
        pub(crate) fn check<M: Display>(self, check: impl Fn(&R::Value) -> Result<(), M>) -> Self
        where
            R: Returned,
        {
            let _ = check;
            self.with("check".to_owned())
        }
        pub(crate) fn repairs(self, repairs: u32) -> Self {
            self.with(format!("repairs {repairs}"))
        }
        pub(crate) fn rounds(self, rounds: u32) -> Self {
            self.with(format!("rounds {rounds}"))
        }
        pub(crate) fn temperature(self, temperature: f64) -> Self {
            self.with(format!("temperature {temperature}"))
        }
        pub(crate) fn top_p(self, top_p: f64) -> Self {
            self.with(format!("top_p {top_p}"))
        }
        pub(crate) fn max_tokens(self, tokens: u64) -> Self {
            self.with(format!("max_tokens {tokens}"))
        }
        pub(crate) fn seed(self, seed: i64) -> Self {
            self.with(format!("seed {seed}"))
        }
        pub(crate) fn timeout(self, timeout: Duration) -> Self {
            self.with(format!("timeout {timeout:?}"))
        }
        pub(crate) fn tool(self, tool: CallableTool) -> Self {
            self.with(format!("tool {}", tool.name))
        }
        pub(crate) fn examples<I, O>(self, examples: impl IntoIterator<Item = (I, O)>) -> Self {
            self.with(format!("examples {}", examples.into_iter().count()))
        }
    }
}

/// Stand-in for `llmpool::tool`.
pub(crate) mod tool {
    use std::fmt::Display;
    use std::pin::Pin;
    use std::sync::Arc;
    use std::task::{Context, Poll, Waker};
    use std::time::Duration;

    use schemars::JsonSchema;
    use serde::Serialize;
    use serde::de::DeserializeOwned;
    use serde_json::Value;

    type Code = dyn Fn(Value) -> Pin<Box<dyn Future<Output = Result<Value, String>> + Send>> + Send + Sync;

    #[derive(Clone)]
    pub(crate) struct CallableTool {
        pub(crate) name: &'static str,
        pub(crate) description: &'static str,
        pub(crate) schema: Value,
        pub(crate) timeout: Option<Duration>,
        pub(crate) max_output: Option<usize>,
        code: Arc<Code>,
    }

    impl CallableTool {
        pub(crate) fn new<A, F, T, E>(
            name: &'static str,
            description: &'static str,
            code: impl Fn(A) -> F + Send + Sync + 'static,
        ) -> Self
        where
            A: DeserializeOwned + JsonSchema,
            F: Future<Output = Result<T, E>> + Send + 'static,
            T: Serialize,
            E: Display,
        {
            let schema = schemars::schema_for!(A).to_value();
            let code = move |arguments: Value| -> Pin<Box<dyn Future<Output = _> + Send>> {
                let result = serde_json::from_value::<A>(arguments).map(&code);
                Box::pin(async move {
                    let value = result.map_err(|error| error.to_string())?.await;
                    serde_json::to_value(value.map_err(|error| error.to_string())?)
                        .map_err(|error| error.to_string())
                })
            };
            Self {
                name,
                description,
                schema,
                timeout: None,
                max_output: None,
                code: Arc::new(code),
            }
        }

        pub(crate) fn timeout(mut self, timeout: Duration) -> Self {
            self.timeout = Some(timeout);
            self
        }

        pub(crate) fn max_output(mut self, bytes: usize) -> Self {
            self.max_output = Some(bytes);
            self
        }

        /// Runs the tool, which must not wait.
        pub(crate) fn run(&self, arguments: Value) -> Result<Value, String> {
            match (self.code)(arguments)
                .as_mut()
                .poll(&mut Context::from_waker(Waker::noop()))
            {
                Poll::Ready(result) => result,
                Poll::Pending => Err("the tool waits".to_owned()),
            }
        }
    }
}
