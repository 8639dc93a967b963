//! A tool with its code.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_core::future::BoxFuture;
use llmpool_core::chat::{FunctionDefinition, FunctionTool, ResponseFormat, Tool};
use llmpool_core::structured::{JsonSchema, ReplyError, ReplySchema, SchemaError, json_schema};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::output::ToolOutput;

/// The maximum duration of a tool call, unless the tool says otherwise.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);
/// The maximum size of a result in bytes, unless the tool says otherwise. About 8000 tokens.
const DEFAULT_MAX_OUTPUT: usize = 32 << 10;

/// Runs the tool with arguments in JSON, or returns what is wrong with them.
type RunTool = dyn Fn(&str) -> Result<BoxFuture<'static, ToolOutput>, String> + Send + Sync;

/// A tool with its code. Clones share the code.
#[derive(Clone)]
pub struct CallableTool {
    name: Arc<str>,
    description: Arc<str>,
    /// The schema of the arguments. Shared, because it is large.
    schema: Result<ReplySchema, SchemaError>,
    run: Arc<RunTool>,
    timeout: Duration,
    max_output: usize,
}

impl CallableTool {
    /// Creates a tool from a function with one argument, a struct whose fields are the arguments that the model writes.
    ///
    /// `name` has at most 64 characters, each an ASCII letter, a digit, `_` or `-`. `description` tells the model what
    /// the tool does and when to call it. Doc comments of the fields of `A` describe the arguments.
    ///
    /// A result that is text is sent as it is, any other one as JSON. An error is sent to the model, too.
    pub fn new<A, T, E, F>(
        name: impl Into<Arc<str>>,
        description: impl Into<Arc<str>>,
        run: impl Fn(A) -> F + Send + Sync + 'static,
    ) -> Self
    where
        A: DeserializeOwned + JsonSchema,
        T: Serialize,
        E: fmt::Display,
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        let schema = schema_of_arguments::<A>();
        let parser = schema.clone();
        let run = move |arguments: &str| {
            let parser = parser.as_ref().map_err(SchemaError::to_string)?;
            let arguments = if arguments.trim().is_empty() {
                "{}"
            } else {
                arguments
            };
            let parsed = parser.parse_text::<A>(arguments);
            let future = run(parsed.map_err(|error| reason(&error))?);
            let output = async move { ToolOutput::of(&future.await) };
            Ok(Box::pin(output) as BoxFuture<'static, ToolOutput>)
        };
        Self {
            name: name.into(),
            description: description.into(),
            schema,
            run: Arc::new(run),
            timeout: DEFAULT_TIMEOUT,
            max_output: DEFAULT_MAX_OUTPUT,
        }
    }

    /// Sets the maximum duration of one call of the tool. The result of a call that takes longer is an error. Code that
    /// blocks its thread is not interrupted. Default: 60 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets the maximum size of a result in bytes. A longer one is cut, with a note. Default: 32 KiB.
    pub fn max_output(mut self, bytes: usize) -> Self {
        self.max_output = bytes;
        self
    }

    /// Returns the name by which the model calls the tool.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the definition of the tool in a chat request.
    ///
    /// # Errors
    /// Fails if no JSON schema can express the arguments, or if they are a text instead of a struct.
    pub fn definition(&self) -> Result<Tool, SchemaError> {
        let schema = self.schema.as_ref().map_err(Clone::clone)?;
        let parameters = match schema.response_format() {
            Some(ResponseFormat::JsonSchema(format)) => format.json_schema.schema.clone(),
            _ => None,
        };
        let function = FunctionDefinition {
            name: self.name.to_string(),
            description: Some(self.description.to_string()),
            parameters,
            strict: Some(schema.is_strict()),
            ..FunctionDefinition::default()
        };
        Ok(Tool::Function(FunctionTool {
            function,
            ..FunctionTool::default()
        }))
    }

    /// Runs the tool with `arguments`, the JSON text that the model wrote. Never fails: errors of the arguments, errors
    /// of the tool and timeouts are outputs. A panic of the tool is not caught.
    pub async fn call(&self, arguments: &str) -> ToolOutput {
        let output = match (self.run)(arguments) {
            Err(reason) => ToolOutput::error(format!("invalid arguments: {reason}")),
            Ok(running) => match tokio::time::timeout(self.timeout, running).await {
                Ok(output) => output,
                Err(_) => ToolOutput::error(format!("timeout after {:?}", self.timeout)),
            },
        };
        output.cut(self.max_output)
    }
}

/// Returns how the model writes the arguments. A text, which has no schema, is an error: the tool would seem to have no
/// arguments.
fn schema_of_arguments<A: JsonSchema>() -> Result<ReplySchema, SchemaError> {
    let schema = ReplySchema::of::<A>()?;
    if schema.response_format().is_none() {
        json_schema::<A>()?;
    }
    Ok(schema)
}

/// Returns why the arguments are invalid, in words for the model.
fn reason(error: &ReplyError) -> String {
    let ReplyError::Mismatch(mismatch) = error else {
        return error.to_string();
    };
    match mismatch.path().as_str() {
        "$" => mismatch.detail().to_owned(),
        path => format!("`{path}`: {}", mismatch.detail()),
    }
}

impl fmt::Debug for CallableTool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallableTool")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
