//! A call of a function: its options, and the futures that make it.

use std::any::Any;
use std::fmt;
use std::future::IntoFuture;

use futures_core::future::BoxFuture;
use llmpool_core::structured::ReplySchema;
use serde::Serialize;

use super::checked_reply::{Check, read};
use super::conversation::CallConversation;
use super::description::Function;
use super::error::FunctionError;
use super::prompt::Prompt;
use super::returned::{Reply, Returned, TypedReturn};
use super::setup::{Setup, setup_methods};
use super::stream::FunctionStream;

use crate::interface::LlmInterface;

/// A call of a function, which does nothing until it is awaited or streamed.
///
/// Dropping the call, its future or its stream cancels it: the connection is closed and the key is released.
///
/// An unusable reply (empty, not of the return type, or rejected by [`check`](Self::check)) is repaired: the model gets
/// its reply and the reason, and is asked again. A provider that does not support JSON schemas gets the schema in the
/// prompt.
#[must_use = "a call does nothing until it is awaited"]
pub struct Call<'llm, R: 'static> {
    function: &'static Function<R>,
    llm: &'llm dyn LlmInterface,
    setup: Box<Setup>,
    /// A `Check<R::Value>`. Its type needs a bound, which would repeat the error of [`Function::new`] about a wrong
    /// return type.
    check: Option<Box<dyn Any + Send + Sync>>,
}

impl<R> Function<R> {
    /// Starts a call of the function. Sends nothing until the call is awaited or streamed.
    pub fn call<'llm>(&'static self, llm: &'llm dyn LlmInterface) -> Call<'llm, R> {
        Call {
            function: self,
            llm,
            setup: Box::default(),
            check: None,
        }
    }
}

impl<'llm, R: 'static> Call<'llm, R> {
    setup_methods!();

    /// Checks the value before it is returned. An error means that the value is unusable: the model gets the text of
    /// the error, and is asked again. Replaces the check that the function declares.
    pub fn check<D: fmt::Display>(
        mut self,
        check: impl Fn(&R::Value) -> Result<(), D> + Send + Sync + 'static,
    ) -> Self
    where
        R: Returned,
    {
        let check: Check<R::Value> = Box::new(move |value| check(value).map_err(|error| error.to_string()));
        self.check = Some(Box::new(check));
        self
    }

    /// Sets how often the model is asked again after an unusable reply. Default: 1. Streams are not repaired.
    pub fn repairs(mut self, repairs: u32) -> Self {
        self.setup.repairs = repairs;
        self
    }

    /// Adds examples of inputs and the values that the function returns for them, before the input of the call.
    ///
    /// The input of an example is written like that of the call if it is a text or, for several arguments, a struct or
    /// map with their names.
    pub fn examples<I: Serialize, O: Serialize>(
        mut self,
        examples: impl IntoIterator<Item = (I, O)>,
    ) -> Self {
        // Without a schema, the call fails anyway.
        if let Ok(schema) = self.function.schema() {
            for (input, output) in examples {
                self.setup.add_example(schema, &input, &output);
            }
        }
        self
    }

    /// Returns a future with the value and the report of the call: usage, attempts, repairs.
    pub fn report(self) -> ReportedCall<'llm, R> {
        ReportedCall(self)
    }

    /// Returns a stream of the fields of the value as they become final, and then the value.
    pub fn stream(mut self) -> FunctionStream<'llm, R>
    where
        R: TypedReturn,
    {
        let check = self.take_check();
        FunctionStream::new(self.open(), check)
    }

    /// Returns what the call would send, without sending anything.
    ///
    /// # Errors
    /// Fails if an argument cannot be written as JSON, or if no JSON schema can express the return type.
    pub fn prompt(self) -> Result<Prompt, FunctionError> {
        let (conversation, _) = self.open()?;
        Ok(Prompt::new(conversation.into_request()))
    }

    fn open(mut self) -> Result<(CallConversation<'llm>, &'static ReplySchema), FunctionError> {
        let schema = self.function.schema()?;
        let preamble = self.setup.prepare(self.function.instructions(), Some(schema))?;
        Ok((CallConversation::new(self.llm, self.setup, preamble), schema))
    }

    fn take_check(&mut self) -> Option<Check<R::Value>>
    where
        R: Returned,
    {
        let check = self.check.take()?.downcast();
        check.ok().map(|check| *check)
    }

    async fn run(mut self) -> Result<Reply<R::Value>, FunctionError>
    where
        R: TypedReturn,
    {
        let check = self.take_check();
        let (mut conversation, schema) = self.open()?;
        loop {
            let reply = conversation.next_reply().await?;
            match read(schema, &reply, check.as_ref()) {
                Ok(value) => {
                    let (calls, repairs) = conversation.into_calls();
                    return Ok(Reply::new(value, calls, repairs));
                }
                Err(error) => conversation.repair(&reply, error)?,
            }
        }
    }
}

impl<'llm, R: TypedReturn> IntoFuture for Call<'llm, R> {
    type Output = R;
    type IntoFuture = BoxFuture<'llm, R>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { R::from_outcome(self.run().await.map(|reply| reply.value)) })
    }
}

impl<R> fmt::Debug for Call<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.function.name();
        f.debug_struct("Call")
            .field("function", &name)
            .finish_non_exhaustive()
    }
}

/// A call of a function whose outcome includes the report: see [`Call::report`].
#[must_use = "a call does nothing until it is awaited"]
#[derive(Debug)]
pub struct ReportedCall<'llm, R: 'static>(Call<'llm, R>);

impl<'llm, R: TypedReturn> IntoFuture for ReportedCall<'llm, R> {
    type Output = R::Reported;
    type IntoFuture = BoxFuture<'llm, R::Reported>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { R::reported(self.0.run().await) })
    }
}
